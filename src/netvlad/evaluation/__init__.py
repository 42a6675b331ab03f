"""How good answers are, and by which rules."""

from netvlad.evaluation.applying import PreparedEvaluation, apply
from netvlad.evaluation.comparison import Comparison, Competitor, Entry, compare_evaluations
from netvlad.evaluation.evaluate import Evaluation, evaluate
from netvlad.evaluation.measures import Measures, QueryOutcomes, measure, measure_by, outcomes_of
from netvlad.evaluation.protocol_record import Frames, LabelFilter, Listed, Protocol, Radius
from netvlad.evaluation.protocols import PROTOCOLS, find_protocol, protocol_for
from netvlad.evaluation.recall import CUTOFFS, positives_of, recall_at
from netvlad.evaluation.sequences import SequenceSearch

__all__ = [
    "CUTOFFS",
    "PROTOCOLS",
    "Comparison",
    "Competitor",
    "Entry",
    "Evaluation",
    "Frames",
    "LabelFilter",
    "Listed",
    "Measures",
    "PreparedEvaluation",
    "Protocol",
    "QueryOutcomes",
    "Radius",
    "SequenceSearch",
    "apply",
    "compare_evaluations",
    "evaluate",
    "find_protocol",
    "measure",
    "measure_by",
    "outcomes_of",
    "positives_of",
    "protocol_for",
    "recall_at",
]

"""How good answers are."""

from netvlad.evaluation.evaluate import Evaluation, evaluate
from netvlad.evaluation.recall import CUTOFFS, positives_of, recall_at

__all__ = ["CUTOFFS", "Evaluation", "evaluate", "positives_of", "recall_at"]

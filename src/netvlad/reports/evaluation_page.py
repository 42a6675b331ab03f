"""The page that ``netvlad evaluate --output`` writes: which model is better, on what evidence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from netvlad.errors import DataError
from netvlad.evaluation.comparison import SIGNIFICANCE, Comparison
from netvlad.reports.chart_style import MARKS, SERIES
from netvlad.reports.charts import CHART_CSS
from netvlad.reports.evaluation_cards import Overlay
from netvlad.reports.evaluation_charts import Chart, charts_of
from netvlad.reports.evaluation_gallery import PatternCards, gallery
from netvlad.reports.evaluation_map import MappedModel, OutcomeMap, outcome_maps
from netvlad.reports.evaluation_table import Table, table_of
from netvlad.reports.evaluation_verdicts import (
    PairRow,
    pair_rows,
    protocol_facts,
    summary,
    verdict,
)
from netvlad.reports.evaluation_words import data_name, joined, names_of
from netvlad.reports.pages import write_page
from netvlad.reports.printable import printable
from netvlad.types import Reporter, counted, silent

PICTURES = 500
"""At most so many photos on a page, whatever the number of queries, models and data sets."""

_MOST_UNREADABLE = 20


@dataclass(frozen=True)
class MapFigure:
    """A map and the words below it.

    Attributes:
        name: of the model.
        style: the number of its colour, from 0.
        svg: the drawing.
        narrow: whether several fit beside each other.
        text: what it shows and what it does not.
    """

    name: str
    style: int
    svg: Markup
    narrow: bool
    text: str


@dataclass(frozen=True)
class Section:
    """One comparison as the page shows it.

    Attributes:
        anchor: its HTML id.
        data: data set and split.
        protocol: name of the protocol.
        description: of the protocol.
        facts: its rules, (what, how).
        verdict: the result in a sentence.
        counts: (figure, what it counts).
        notes: what a person should know, a sentence each.
        unreadable: what was wrong with images that could not be used.
        names: of the models.
        cutoff: the N that sentences and tests speak of.
        table: all figures.
        pairs: the paired tests.
        charts: curves, intervals, errors, conditions.
        maps: right and wrong queries.
        patterns: the gallery.
        trials: what the paired tests count: places, or queries.
        overlays: whether there are pictures of what counted.
        strip: how many pictures stand beside each other in the gallery.
        protocol_fingerprint: of the rules.
        data_fingerprint: of the data.
    """

    anchor: str
    data: str
    protocol: str
    description: str
    facts: tuple[tuple[str, str], ...]
    verdict: str
    counts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]
    names: tuple[str, ...]
    cutoff: int
    trials: str
    table: Table
    pairs: tuple[PairRow, ...]
    charts: tuple[Chart, ...]
    maps: tuple[MapFigure, ...]
    patterns: tuple[PatternCards, ...]
    overlays: bool
    strip: int
    protocol_fingerprint: str
    data_fingerprint: str


@dataclass(frozen=True)
class Identity:
    """Everything that is needed to find a model again.

    Attributes:
        name: of the model.
        source: as it was typed.
        fingerprint: of weights and settings.
        settings: (name, value), as JSON where they are no text.
    """

    name: str
    source: str
    fingerprint: str
    settings: tuple[tuple[str, str], ...]


def write_evaluation_page(
    path: Path,
    comparisons: Sequence[Comparison],
    *,
    provenance: Mapping[str, str],
    overlays: Mapping[str, Overlay] | None = None,
    report: Reporter = silent,
) -> Path:
    """Write evaluations as one self-contained page, which fetches nothing and needs no script.

    However many queries there are, the page shows at most :data:`PICTURES` photos and maps of
    bounded size: 10,000 queries of three models take less than 6 MB.

    Args:
        path: the page.
        comparisons: a section each; at least one.
        provenance: how the figures were made (command, versions, machine, date), by name.
        overlays: what in a query speaks for its first answer, by the name of the competitor.
        report: receives the progress.

    Returns:
        ``path``.

    Raises:
        DataError: there is no comparison.
        StorageError: it cannot be written.
    """
    if not comparisons:
        raise DataError("a page of an evaluation needs at least one comparison")
    room = PICTURES // len(comparisons)
    sections = [
        _section(number, comparison, room, overlays or {}, report)
        for number, comparison in enumerate(comparisons, 1)
    ]
    data = joined(list(dict.fromkeys(section.data for section in sections)))
    return write_page(
        path,
        "evaluation.html",
        chart_css=Markup(CHART_CSS),
        marks=MARKS,
        data=data,
        summary=summary(comparisons),
        sections=sections,
        identities=_identities(comparisons),
        provenance=[(printable(k), printable(str(v))) for k, v in provenance.items()],
        most_pictures=PICTURES,
        level=f"{SIGNIFICANCE:.0%}".replace("%", " %"),
    )


def _section(
    number: int,
    comparison: Comparison,
    pictures: int,
    overlays: Mapping[str, Overlay],
    report: Reporter,
) -> Section:
    prepared = comparison.prepared
    protocol = prepared.protocol
    anchor = f"comparison-{number}"
    patterns = gallery(comparison, pictures=pictures, overlays=overlays, report=report)
    rows = [model for pattern in patterns for card in pattern.cards for model in card.models]
    any_overlay = any(model.overlay is not None for model in rows)
    return Section(
        anchor=anchor,
        data=data_name(comparison),
        protocol=printable(protocol.name),
        description=printable(protocol.description),
        facts=tuple(protocol_facts(protocol)),
        verdict=verdict(comparison),
        counts=tuple(_counts(comparison)),
        notes=tuple(printable(note) for note in (*prepared.dataset.notes, *prepared.notes)),
        unreadable=tuple(_unreadable(comparison)),
        names=tuple(names_of(comparison)),
        cutoff=comparison.lead_cutoff,
        trials=comparison.trial_words[1],
        table=table_of(comparison),
        pairs=tuple(pair_rows(comparison)),
        charts=tuple(charts_of(comparison)),
        maps=tuple(_maps(comparison, anchor)),
        patterns=tuple(patterns),
        overlays=any_overlay,
        strip=max((len(model.answers) for model in rows), default=0) + any_overlay,
        protocol_fingerprint=protocol.fingerprint,
        data_fingerprint=prepared.data_fingerprint,
    )


def _unreadable(comparison: Comparison) -> list[str]:
    """What was wrong with each image, once for all models; of many the first."""
    found = dict.fromkeys(
        printable(text) for trial in comparison.trials for text in trial.evaluation.unreadable
    )
    more = len(found) - _MOST_UNREADABLE
    return list(found)[:_MOST_UNREADABLE] + ([f"and {more:,} more"] if more > 0 else [])


def _counts(comparison: Comparison) -> list[tuple[str, str]]:
    """What was asked of what; images that one model could not read may be another's answers."""
    recalls = [trial.evaluation.recalls for trial in comparison.trials]
    first = recalls[0]
    queries = max(one.unreadable_queries for one in recalls)
    database = max(one.unreadable_database for one in recalls)
    without = first.queries_without_positives
    counts = [
        (first.num_database, "database image", "database images"),
        (first.num_queries, "query", "queries"),
    ]
    if comparison.trial_words[0] == "place":
        places = comparison.trials[0].measures.places
        counts.append((places, "different place", "different places"))
    rare = [
        (without, "query without a correct image", "queries without a correct image"),
        (queries, "unreadable query", "unreadable queries"),
        (database, "unreadable database image", "unreadable database images"),
    ]
    kept = counts + [row for row in rare if row[0]]
    return [(f"{count:,}", one if count == 1 else many) for count, one, many in kept]


def _maps(comparison: Comparison, anchor: str) -> list[MapFigure]:
    prepared = comparison.prepared
    names = names_of(comparison)
    database, queries = prepared.dataset.database.positions, prepared.dataset.queries.positions
    models = [
        MappedModel(name, trial.evaluation.matches.indices[:, 0], trial.outcomes.correct)
        for name, trial in zip(names, comparison.trials, strict=True)
    ]
    drawings = outcome_maps(
        database,
        None if queries is None else queries[prepared.queries],
        models,
        f"{anchor}-database",
    )
    return [
        MapFigure(name, number % SERIES, Markup(drawing.svg), drawing.narrow, _map_text(drawing))
        for number, (name, drawing) in enumerate(zip(names, drawings, strict=False))
    ]


def _map_text(drawing: OutcomeMap) -> str:
    text = f"{drawing.right:,} right, {drawing.wrong:,} wrong"
    if drawing.lines < drawing.wrong:
        text += f" ({drawing.lines:,} of these with their line, at even distances)"
    if drawing.missing:
        text += f"; {counted(drawing.missing, 'queries')} beyond the rim or unplaced"
    return text + "."


def _identities(comparisons: Sequence[Comparison]) -> list[Identity]:
    """Every model of the page once, though it took part in several comparisons."""
    found = [
        Identity(
            name,
            printable(trial.competitor.source),
            trial.competitor.fingerprint,
            tuple(
                (printable(key), _setting(value))
                for key, value in (trial.competitor.settings or {}).items()
            ),
        )
        for comparison in comparisons
        for name, trial in zip(names_of(comparison), comparison.trials, strict=True)
    ]
    return list(dict.fromkeys(found))


def _setting(value: object) -> str:
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False, default=str))

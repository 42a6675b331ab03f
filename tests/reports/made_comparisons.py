"""Small comparisons from descriptors made so that what is right and wrong can be told by eye."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netvlad.evaluation import evaluate
from netvlad.evaluation.applying import apply
from netvlad.evaluation.by_protocol import ProtocolResult
from netvlad.evaluation.comparison import Comparison, Competitor, compare_evaluations
from netvlad.evaluation.evaluate import Evaluation
from netvlad.evaluation.protocols import PROTOCOLS
from netvlad.evaluation.recall import first_correct, recall_at
from netvlad.types import ImageSet, Matches, Neighbours, PlaceDataset

APART_M = 100.0
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}
SHAPES = {"path", "circle", "rect", "line", "use", "polyline", "ellipse"}


def photos(folder: Path, count: int) -> None:
    """``0.png`` … of different colours."""
    for number in range(count):
        colour = (37 * number % 256, 91 * number % 256, 90)
        Image.new("RGB", (80, 60), colour).save(folder / f"{number}.png")


def dataset_of(
    folder: Path,
    places: int,
    *,
    names: Callable[[int], str] = "{}.png".format,
    labels: Mapping[str, Sequence[str]] | None = None,
    positions: bool = True,
) -> PlaceDataset:
    """A database image and a query at each of some places, 100 m apart; both the same file."""
    east = np.stack([APART_M * np.arange(places), np.zeros(places)], axis=1)
    database = ImageSet(folder, tuple(map(names, range(places))), east if positions else None)
    words = {name: np.array(values) for name, values in (labels or {}).items()}
    listed = Neighbours(np.arange(places + 1), np.arange(places))
    return PlaceDataset(
        "made",
        "test",
        database,
        replace(database, labels=words),
        positives=None if positions else listed,
        notes=("Made <up> & small.",),
    )


def right_where(hits: Sequence[bool]) -> NDArray[np.float32]:
    """Descriptors of queries: those that miss look most like the next place."""
    places = len(hits)
    eye = np.eye(places, dtype=np.float32)
    wrong = np.roll(eye, 1, axis=1) * 0.9 + eye * np.sqrt(1 - 0.81)
    return np.where(np.array(hits)[:, None], eye, wrong).astype(np.float32)


def comparison_of(
    dataset: PlaceDataset,
    hits: Mapping[str, Sequence[bool]],
    unreadable: Sequence[int] = (),
    settings: Mapping[str, object] | None = None,
) -> Comparison:
    """A model for each entry, right at first where it says so; without answer where unreadable."""
    entries = []
    for name, right in hits.items():
        queries = right_where(right)
        queries[list(unreadable)] = np.nan
        found = evaluate((np.eye(len(right), dtype=np.float32), queries), dataset)
        # As if a network had taken two seconds for all images.
        found = replace(found, seconds={"describe": 2.0, "search": 0.5}, described=200)
        competitor = Competitor(name, f"runs/{name}", "fedcba9876543210", settings)
        entries.append((competitor, found))
    return compare_evaluations(entries)


def large_comparison(folder: Path, files: int, queries: int, models: int) -> Comparison:
    """Random answers of several models; no search, whose time is no concern of a page."""
    random = np.random.default_rng(0)
    images = ImageSet(
        folder,
        tuple(f"{i % files}.png" for i in range(queries)),
        random.uniform(0, 20_000, (queries, 2)),
        labels={"condition": random.choice(["day", "night"], queries)},
    )
    prepared = apply(PROTOCOLS["radius-25"], PlaceDataset("large", "test", images, images))
    entries = []
    for number in range(models):
        indices = random.integers(0, queries, (queries, 20))
        found = random.random(queries) < 0.5 + 0.1 * number
        indices[found, 0] = np.flatnonzero(found)
        matches = Matches(indices, np.sort(random.random((queries, 20)), axis=1).astype("f4"))
        result = ProtocolResult(
            prepared,
            recall_at(matches, prepared.positives, queries),
            matches,
            first_correct(matches, prepared.positives),
            np.full(queries, queries),
            1.0,
        )
        evaluation = Evaluation(result, 128, 512, {"describe": 1.0, "search": 1.0}, queries)
        entries.append((Competitor(f"model {number}"), evaluation))
    return compare_evaluations(entries)


class Page(HTMLParser):
    """The elements of a page, its text, and whether every tag is closed by its own."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.open: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        assert not self.open, f"never closed: {self.open}"
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SHAPES, f"<{tag}/> is no empty element of HTML"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.parts.append(data)

    def data(self, identity: str) -> Any:
        """What a script of the page holds as JSON."""
        found = re.search(rf'<script [^>]*id="{identity}">(.*?)</script>', self.html, re.DOTALL)
        return json.loads(found[1]) if found else None

    def plots(self, kind: str = "plot") -> list[tuple[str, dict[str, Any]]]:
        """The words and the figure of each plot of a kind."""
        found = re.findall(
            r'<div class="(plot[^"]*)"[^>]*aria-label="([^"]*)"><script[^>]*>(.*?)</script>',
            self.html,
            re.DOTALL,
        )
        return [(unescape(a), json.loads(figure)) for k, a, figure in found if kind in k.split()]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def rows(self, start: int = 0) -> list[list[str]]:
        """The cells of all table rows from the ``start``-th on, as text."""
        rows = re.findall(r"<tr\b.*?</tr>", self.html, re.DOTALL)[start:]
        cells = (re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.DOTALL) for row in rows)
        return [
            [" ".join(unescape(re.sub("<[^>]*>", " ", cell)).split()) for cell in row]
            for row in cells
        ]

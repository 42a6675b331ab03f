"""Pictures of what was measured: ``python -m benchmarks.plots`` draws docs/performance/*.svg.

Reads the JSON files below build/ that there are, and says which are missing. The same numbers give
the same files.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from benchmarks.children import ROOT
from benchmarks.table import duration
from netvlad.storage import read_json

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
OURS, ORIGINAL = "#0072B2", "#E69F00"
PARTS = {
    "refresh": "#56B4E9",
    "mining": "#009E73",
    "steps": "#CC79A7",
    "cache build": "#999999",
}
LOOK: dict[Any, Any] = {
    "svg.hashsalt": "netvlad",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.dpi": 100,
}
_TICKS = [factor * 10.0**power for power in range(-4, 6) for factor in (1, 3)]
_PLAIN = StrMethodFormatter("{x:,g}")
ROW_LABELS = {
    "layer-forward": "NetVLAD layer, forward",
    "layer-forward-backward": "NetVLAD layer, with gradients",
    "mining-per-query": "mining a query",
    "cache-refresh": "refreshing descriptors",
    "training-epoch": "training epoch",
    "training-epoch-with-cache-build": "training epoch and trunk cache",
    "evaluation": "evaluation",
}


def ratios(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How many times faster ours is, with the seconds of both."""
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(rows) + 1.4), layout="constrained")
    names = [ROW_LABELS[row["name"]] for row in rows]
    values = [row["ratio"] for row in rows]
    # Bars begin at 1, where both take the same time.
    axes.barh(names, [value - 1 for value in values], left=1, color=OURS, height=0.62)
    for position, row in enumerate(rows):
        label = (
            f" {row['ratio']:.3g}×   {duration(row['original_seconds'])} → "
            f"{duration(row['ours_seconds'])}"
        )
        axes.text(max(row["ratio"], 1), position, label, va="center", fontsize=9)
    axes.set_xscale("log")
    # Room for the label of the longest bar, whose length on this axis does not depend on the bars.
    low, high = min(0.9, *values), max(2, *values)
    axes.set_xlim(low, high * (high / low) ** 0.5)
    axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.minorticks_off()
    axes.spines["left"].set_visible(False)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times faster than the original's way (logarithmic)")
    axes.set_title("How much faster each part is")
    axes.tick_params(axis="y", length=0)
    return figure


def layer_growth(curves: Mapping[str, Any]) -> Figure:
    """The layer's time against the number of clusters."""
    points = curves["layer_by_clusters"]
    images = curves["range"]["layer_images"]
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    clusters = [point["clusters"] for point in points]
    for side, colour in (("original", ORIGINAL), ("ours", OURS)):
        for name, style, label in (
            ("forward_backward", "-", "with gradients"),
            ("forward", "--", "forward"),
        ):
            times = [1e3 * point[f"{side}_{name}_seconds"] for point in points]
            axes.plot(clusters, times, style, color=colour, marker="o", markersize=4)
            _name_line(axes, clusters, times, f"{side}, {label}", colour)
    _logarithmic(axes, clusters)
    axes.set_xlabel("clusters K")
    axes.set_ylabel(f"milliseconds for {images} maps of 512×15×20")
    axes.set_title("The NetVLAD layer as clusters grow")
    return figure


def mining_growth(curves: Mapping[str, Any]) -> Figure:
    """Mining time per query against the number of database images, and against dimensions."""
    figure, both = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
    fixed = curves["range"]
    for axes, varied, label, title in (
        (
            both[0],
            "database",
            "database images",
            f"Mining as the database grows ({fixed['fixed_dimension']:,} dimensions)",
        ),
        (
            both[1],
            "dimension",
            "dimensions",
            f"Mining as dimensions grow ({fixed['fixed_database']:,} images)",
        ),
    ):
        points = curves[f"mining_by_{varied}"]
        sizes = [point[varied] for point in points]
        for side, colour in (("original", ORIGINAL), ("ours", OURS)):
            times = [1e3 * point[f"{side}_seconds"] for point in points]
            axes.plot(sizes, times, color=colour, marker="o", markersize=4)
            _name_line(axes, sizes, times, side, colour)
        _logarithmic(axes, sizes)
        axes.set_xlabel(label)
        axes.set_title(title)
    both[0].set_ylabel("milliseconds per query")
    return figure


def epoch_parts(details: Mapping[str, Any]) -> Figure:
    """Where the time of a first epoch goes, on both sides."""
    sides = details["epoch"]
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 3.6), layout="constrained")
    for axes, side in ((above, "original"), (below, "ours")):
        _stacked(axes, sides[side], side)
    # On one scale ours would be a hair's breadth: each has its own, and says so.
    below.set_xlabel("time (each bar on its own scale)")
    handles = [Patch(color=colour) for colour in PARTS.values()]
    figure.legend(handles, PARTS, loc="outside lower center", ncols=len(PARTS))
    above.set_title("Where a first epoch's time goes")
    return figure


def reliability_by_size(kinds: Mapping[str, Any]) -> Figure:
    """What is stated against what is right, for each size of index."""
    names = {"verified-located": "positions known", "verified": "positions unknown"}
    sizes = list(next(iter(kinds.values())))
    figure, row = plt.subplots(1, len(sizes), figsize=(9.6, 2.9), layout="constrained", sharey=True)
    for axes, size in zip(row, sizes, strict=True):
        axes.plot([0, 1], [0, 1], color="0.8", zorder=0)
        for (kind, label), colour in zip(names.items(), (OURS, ORIGINAL), strict=True):
            table = kinds[kind][size]
            there = [i for i, count in enumerate(table["counts"]) if count]
            x, y = ([table[name][i] for i in there] for name in ("stated", "right"))
            axes.plot(x, y, color=colour, marker="o", markersize=4, label=label)
        axes.set_aspect("equal")
        axes.set_title(f"{size} photos")
        axes.set_xlabel("stated probability")
    row[0].set_ylabel("share that is right")
    row[-1].legend(loc="lower right", fontsize=8)
    return figure


def _stacked(axes: Axes, parts: Mapping[str, float], side: str) -> None:
    whole = sum(parts.values())
    factor, unit = (3600, "hours") if whole > 2 * 3600 else (60, "minutes")
    start = 0.0
    for name, colour in PARTS.items():
        width = parts[name] / factor
        axes.barh([0], [width], left=start, color=colour, height=0.6, edgecolor="white")
        share = parts[name] / whole
        if share >= 0.06:
            axes.text(start + width / 2, 0, f"{share:.0%}", ha="center", va="center", fontsize=9)
        start += width
    axes.set_yticks([0], [f"{side}\n{duration(whole)}"])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, start)
    axes.annotate(
        unit,
        (1, -0.02),
        xycoords="axes fraction",
        ha="left",
        va="top",
        fontsize=9,
        xytext=(4, -4),
        textcoords="offset points",
    )


def _name_line(axes: Axes, x: Sequence[float], y: Sequence[float], label: str, colour: str) -> None:
    """The name beside the end of its line: a legend would have to be looked up."""
    axes.annotate(
        label, (x[-1], y[-1]), xytext=(7, 0), textcoords="offset points", color=colour, va="center"
    )


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(values, [f"{value:,}" for value in values])
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in _TICKS if low <= tick <= high])
    axes.yaxis.set_major_formatter(_PLAIN)
    axes.minorticks_off()
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


FIGURES: dict[str, tuple[str, Callable[[Any], Figure]]] = {
    "ratios": ("bench.json", ratios),
    "layer": ("bench-growth.json", layer_growth),
    "mining": ("bench-growth.json", mining_growth),
    "epoch": ("bench-details.json", epoch_parts),
    "probabilities": ("bench-probabilities.json", reliability_by_size),
}
"""What is drawn from which file."""


def draw(figures: Path, results: Path, *, also_png: bool = False) -> list[str]:
    """Draw what ``results`` has numbers for into the folder ``figures``.

    Returns:
        the names of files that are missing.
    """
    missing = []
    figures.mkdir(parents=True, exist_ok=True)
    for name, (file, drawn) in FIGURES.items():
        if not (results / file).is_file():
            missing.append(file)
            continue
        with mpl.rc_context(LOOK):
            figure = drawn(read_json(results / file))
            figure.savefig(figures / f"{name}.svg", metadata={"Date": None, "Creator": None})
            if also_png:
                figure.savefig(figures / f"{name}.png")
            plt.close(figure)
    return sorted(set(missing))


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; 1 when a file of numbers is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plots",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=ROOT / "build")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs/performance")
    parser.add_argument("--png", action="store_true", help="a PNG beside each SVG")
    typed = parser.parse_args(arguments)
    missing = draw(typed.figures, typed.results, also_png=typed.png)
    for file in missing:
        print(f"benchmarks: {typed.results / file}: no such file; not drawn", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

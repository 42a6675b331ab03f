"""What a person sees while work goes on: bars and notes on stderr, results alone on stdout."""

import contextlib
import json
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Literal, NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from netvlad.types import Note, Progress, Recalls, Reporter, counted

_PLAIN_INTERVAL_S = 30.0


class _FiguresColumn(ProgressColumn):
    """The stage's speed and whatever figures it reports."""

    def render(self, task: Task) -> Text:
        parts = [f"{k} {_figure(k, v)}" for k, v in task.fields.get("figures", {}).items()]
        if not parts and task.speed:
            parts = [f"{task.speed:.1f} {task.fields.get('unit', '')}/s"]
        return Text("  ".join(parts), style="cyan")


@contextlib.contextmanager
def reporting() -> Iterator[Reporter]:
    """A reporter for as long as the work lasts: bars in a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _PlainReporter()
        return
    bars = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _FiguresColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def report(event: Progress | Note) -> None:
        if isinstance(event, Note):
            bars.console.print(f"• {event.text}", highlight=False, markup=False)
            return
        if event.stage not in tasks:
            tasks[event.stage] = bars.add_task(event.stage, total=event.total, unit=event.unit)
        bars.update(
            tasks[event.stage],
            completed=event.done,
            total=event.total,
            figures=dict(event.figures),
            unit=event.unit,
        )
        if event.done >= event.total:
            # One line for a finished bar, so that a long training does not fill the screen.
            task = tasks.pop(event.stage)
            elapsed = bars._tasks[task].elapsed or 0.0
            bars.remove_task(task)
            bars.console.print(_summary(event, elapsed), highlight=False, markup=False)

    with bars:
        yield report


class _PlainReporter:
    """For logs: a line when a stage ends, and one every half minute while it lasts."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._printed: dict[str, float] = {}

    def __call__(self, event: Progress | Note) -> None:
        if isinstance(event, Note):
            print(f"- {event.text}", file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        started = self._started.setdefault(event.stage, now)
        if event.done >= event.total:
            print(_summary(event, now - started), file=sys.stderr, flush=True)
            self._started.pop(event.stage)
            self._printed.pop(event.stage, None)
        elif now - self._printed.setdefault(event.stage, started) > _PLAIN_INTERVAL_S:
            self._printed[event.stage] = now
            print(f"  {event.stage}: {event.done} of {event.total}", file=sys.stderr, flush=True)


def _summary(event: Progress, seconds: float) -> str:
    figures = "".join(f", {k} {_figure(k, v)}" for k, v in event.figures.items())
    return f"  {event.stage}: {counted(event.total, event.unit)} in {seconds:.1f} s{figures}"


def _figure(name: str, value: float) -> str:
    if name == "violators":
        return f"{value:.0%}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.1f}"


def table_of(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[str]],
    *,
    right: Container[str] = (),
) -> Table:
    """A table; cells of the columns named in ``right`` stand at their right."""
    table = Table(title=title, title_justify="left")
    for name in columns:
        # Folded, an address or a path is still whole.
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def facts_table(
    title: str, facts: Mapping[str, str], *, justify: Literal["left", "right"] = "left"
) -> Table:
    """What is known about one thing, a fact on a row."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify=justify)
    for name, words in facts.items():
        table.add_row(name, words)
    return table


def recall_table(title: str, rows: dict[str, Recalls]) -> Table:
    """A table of recalls, a row per name."""
    columns = [f"R@{n}" for n in next(iter(rows.values())).at]
    cells = ((name, *(f"{v:.4f}" for v in recalls.at.values())) for name, recalls in rows.items())
    return table_of(title, ["", *columns], cells, right=columns)


def history_table(history: list[dict[str, float]]) -> Table:
    """The course of a training, a row per epoch."""
    names = {name: name.replace("recall", "R") for row in history for name in row}
    rows = ((_cell(name, row.get(name)) for name in names) for row in history)
    return table_of("Training", names.values(), rows, right=names.values())


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "epoch":
        return f"{value:.0f}"
    if name == "violators":
        return f"{value:.0%}"
    return f"{value:.1f}" if name == "seconds" else f"{value:.4f}"


def show(*renderables: Table | str) -> None:
    """Print results to stdout; wide enough that nothing is cut where stdout is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for one in renderables:
        console.print(one, highlight=False, soft_wrap=isinstance(one, str), markup=False)


def show_json(content: Any) -> None:
    """Print ``content`` as indented JSON; NaN becomes an error rather than something unreadable."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with a line on stderr, after its results."""
    print(f"netvlad: {message}", file=sys.stderr)
    sys.exit(code)

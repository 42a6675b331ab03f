"""What a person sees while work goes on: bars and notes on stderr, results alone on stdout."""

import contextlib
import sys
import time
from collections.abc import Iterator

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
            _leave_line(bars, tasks.pop(event.stage), event)

    with bars:
        yield report


def _leave_line(bars: RichProgress, task: TaskID, event: Progress) -> None:
    """Replace a finished bar by one line, so that a long training does not fill the screen."""
    elapsed = bars._tasks[task].elapsed or 0.0
    bars.remove_task(task)
    bars.console.print(_summary(event, elapsed), highlight=False, markup=False)


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


def recall_table(title: str, rows: dict[str, Recalls]) -> Table:
    """A table of recalls, a row per name."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    cutoffs = list(next(iter(rows.values())).at)
    for n in cutoffs:
        table.add_column(f"R@{n}", justify="right")
    for name, recalls in rows.items():
        table.add_row(name, *(f"{recalls.at[n]:.4f}" for n in cutoffs))
    return table


def history_table(history: list[dict[str, float]]) -> Table:
    """The course of a training, a row per epoch."""
    table = Table(title="Training", title_justify="left")
    names = list(dict.fromkeys(name for row in history for name in row))
    for name in names:
        table.add_column(name.replace("recall", "R"), justify="right")
    for row in history:
        table.add_row(*(_cell(name, row.get(name)) for name in names))
    return table


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "epoch":
        return f"{value:.0f}"
    if name == "violators":
        return f"{value:.0%}"
    return f"{value:.1f}" if name == "seconds" else f"{value:.4f}"


def show(renderable: Table | str) -> None:
    """Print a result to stdout; wide enough that nothing is cut where stdout is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(renderable, highlight=False, soft_wrap=isinstance(renderable, str), markup=False)

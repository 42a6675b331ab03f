"""The rows as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.rows import Row, titles


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    for limit, unit, factor in ((1e-3, "µs", 1e6), (1.0, "ms", 1e3), (120.0, "s", 1.0)):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def rows_table(rows: Sequence[Row], details: Mapping[str, Any]) -> Table:
    """The table; what the machine can do at best stands below it."""
    table = Table(title="Ours against the original's way", caption=_footer(details))
    for heading in ("", "what"):
        table.add_column(heading, overflow="fold")
    for heading in ("ours", "original", "ratio", "ours MB", "original MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    what = titles(details["sizes"])
    for row in rows:
        table.add_row(
            row.name,
            what[row.name],
            duration(row.ours_seconds),
            duration(row.original_seconds),
            f"{row.ratio:.3g}×",
            f"{row.ours_peak_mb:,.0f}",
            f"{row.original_peak_mb:,.0f}",
        )
    return table


def _footer(details: Mapping[str, Any]) -> str:
    machine = details["machine"]
    lines = [
        f"{machine['gpu'] or machine['processor']}, {details['threads']} threads, "
        f"torch {machine['versions']['torch']}, data {machine['data']}"
    ]
    if "floor" in details:
        floor = details["floor"]
        lines.append(
            f"convolutions {floor['bare_gflops']:.0f} GFLOP/s ({floor['bare_layout']}), "
            f"matrix products {floor['sgemm_gflops']:.0f} GFLOP/s, "
            f"memory {floor['copy_gb_per_second']:.1f} GB/s; "
            f"`netvlad test` describes at {floor['describe_share']:.2f} of the bare loop"
        )
    if details["quick"]:
        lines.append("--quick: these times mean nothing")
    elif details["load_before"] > 0.5:
        lines.append(f"the machine was not idle (load {details['load_before']:.1f})")
    return "\n".join(lines)

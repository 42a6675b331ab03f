"""How the series of a chart are told apart: by colour, by dashes and by the shape of marks."""

SERIES = 8
"""How many series have a style of their own."""

MARKS = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "M-4.5-4.5h9v9h-9Z",
    "M0-6L6 0L0 6L-6 0Z",
    "M0-6L5.5 4.5H-5.5Z",
    "M0 6L5.5-4.5H-5.5Z",
    "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4Z",
    "M-5.6-2.8l2.8-2.8l2.8 2.8l2.8-2.8l2.8 2.8l-2.8 2.8l2.8 2.8l-2.8 2.8l-2.8-2.8l-2.8 2.8l-2.8-2.8"
    "l2.8-2.8Z",
    "M-5-6H5L-5 6H5Z",
)
"""The path of each series' mark, around (0, 0): circle, square, diamond, triangle, ..."""

# The colours are those of Okabe and Ito ("Color Universal Design", 2008). Their yellow cannot be
# seen on white, where a brown stands for it; on a dark ground their blue is lightened and their
# black is white.
CHART_CSS = """
.chart { --chart-text: #344054; --chart-grid: #e4e7ec; --chart-axis: #98a2b3; --chart-paper: #fff;
  display: block; width: 100%; max-width: 720px; height: auto; fill: none; break-inside: avoid; }
.chart text { font: 18px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif;
  fill: var(--chart-text); font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--chart-grid); } .chart .axis { stroke: var(--chart-axis); }
.chart .line { stroke: var(--series); stroke-width: 2.5; stroke-dasharray: var(--dash);
  stroke-linejoin: round; }
.chart .leader { stroke: var(--series); opacity: .6; }
.chart .whisker { stroke: var(--series); stroke-width: 2.5; }
.chart .band { fill: var(--series); opacity: .13; }
.chart .bar { fill: var(--series); opacity: .75; }
.chart .mark { fill: var(--series); stroke: var(--chart-paper); }
.chart .hollow { fill: var(--chart-paper); stroke: var(--series); stroke-width: 2.5; }
.chart .limit { stroke: var(--chart-text); stroke-width: 1.5; stroke-dasharray: 5 4; }
.s0 { --series: #0072b2; --dash: none; }
.s1 { --series: #d55e00; --dash: 11 4; }
.s2 { --series: #009e73; --dash: 3 3; }
.s3 { --series: #cc79a7; --dash: 12 4 3 4; }
.s4 { --series: #e69f00; --dash: 7 3; }
.s5 { --series: #56b4e9; --dash: 12 3 3 3 3 3; }
.s6 { --series: #000; --dash: 1.5 3; }
.s7 { --series: #663311; --dash: 18 5; }
@media screen and (prefers-color-scheme: dark) {
  .chart { --chart-text: #c7cedb; --chart-grid: #323947; --chart-axis: #7d889c;
    --chart-paper: #1c2029; }
  .s0 { --series: #3d8fe0; } .s6 { --series: #fff; } .s7 { --series: #f0e442; }
}
@media print {
  .chart { --chart-text: #000; --chart-grid: #ccc; --chart-axis: #000; print-color-adjust: exact; }
}
"""
"""The style of all charts, to be put into a page once.

A series' number is the class ``s0`` ... ``s7``, which sets ``--series`` (its colour) and
``--dash``; a page may use them for keys of its own. Dark colours are for screens alone: paper is
white.
"""


def mark(number: int, x: float, y: float, *, hollow: bool = False) -> str:
    """The mark of series ``number`` at a point, in pixels; within a group of the series' class."""
    kind = "hollow" if hollow else "mark"
    return f'<path d="{MARKS[number]}" transform="translate({x:.2f} {y:.2f})" class="{kind}"/>'

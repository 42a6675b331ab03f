"""The drawings of an evaluation report, as SVG text from plain arrays; no plotting library needed.

A page includes ``CHART_CSS`` once. Every chart is as wide as its place, legible down to a
telephone's 360 pixels, dark where the screen is, black on white on paper, and tells its figures in
words to those who hear the page. Eight models are told apart by colours that colour-blind people
see apart, and by marks and dashes for those who see none.
"""

from netvlad.reports.chart_curves import precision_recall_chart, recall_chart
from netvlad.reports.chart_errors import error_chart
from netvlad.reports.chart_intervals import ConditionRow, Row, condition_chart, interval_chart
from netvlad.reports.chart_series import Series
from netvlad.reports.chart_style import CHART_CSS

__all__ = [
    "CHART_CSS",
    "ConditionRow",
    "Row",
    "Series",
    "condition_chart",
    "error_chart",
    "interval_chart",
    "precision_recall_chart",
    "recall_chart",
]

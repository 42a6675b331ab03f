"""The rendered town: a small data set for place recognition, drawn instead of photographed."""

from netvlad.demo.town.layout import WHOLE_TOWN, TownSize
from netvlad.demo.town.render import TownSummary, render_town

__all__ = ["WHOLE_TOWN", "TownSize", "TownSummary", "render_town"]

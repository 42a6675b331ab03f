"""Conditions on places as Milvus takes them."""

import json
import math

from netvlad.index.where import Where

NOTHING = "number < 0"
"""What no place meets: numbers are never negative."""

# Degrees: the ends of a range of directions are rounded, those of a difference otherwise.
_ROUNDING = 1e-9


def expression(where: Where | None) -> str:
    """The boolean expression that holds for the places which meet ``where``.

    An unknown value is null in Milvus, and a comparison with null never holds: just as
    :meth:`Where.mask <netvlad.index.where.Where.mask>` leaves out what cannot be checked. Headings
    are compared by ``direction``, the heading reduced to 0 up to 360 degrees; a place less than a
    nanodegree outside the tolerance counts as inside.

    Returns:
        an empty text where there are no conditions.
    """
    if where is None:
        return ""
    parts = []
    if where.bounding_box is not None:
        parts += _inside(*where.bounding_box)
    if where.after is not None:
        parts.append(_compared("time", ">=", where.after))
    if where.before is not None:
        parts.append(_compared("time", "<", where.before))
    if where.tags:
        listed = ", ".join(json.dumps(tag, ensure_ascii=False) for tag in sorted(where.tags))
        parts.append(f"array_contains_any(tags, [{listed}])")
    if where.heading is not None:
        parts.append(_similar_direction(*where.heading))
    return " and ".join(f"({part})" for part in parts)


def _inside(south: float, west: float, north: float, east: float) -> list[str]:
    # Across the date line a longitude lies behind the western edge or before the eastern one.
    joint = "and" if west <= east else "or"
    return [
        f"latitude >= {float(south)!r} and latitude <= {float(north)!r}",
        f"longitude >= {float(west)!r} {joint} longitude <= {float(east)!r}",
    ]


def _compared(name: str, operator: str, limit: float) -> str:
    if math.isfinite(limit):
        return f"{name} {operator} {float(limit)!r}"
    # Infinity has no literal there: every known value lies on one side of it.
    always = limit == (-math.inf if operator == ">=" else math.inf)
    return f"{name} is not null" if always else NOTHING


def _similar_direction(degrees: float, tolerance: float) -> str:
    if not math.isfinite(degrees):
        return NOTHING
    if tolerance + _ROUNDING >= 180.0:
        return "direction is not null"
    low = (degrees - tolerance - _ROUNDING) % 360.0
    high = (degrees + tolerance + _ROUNDING) % 360.0
    joint = "and" if low <= high else "or"
    return f"direction >= {low!r} {joint} direction <= {high!r}"

"""Times of day: where the sun stands, what colour everything has, and what shines by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.demo.town.atlas import (
    CAR_WINDOW,
    HEADLIGHT,
    LANTERN,
    PAINT,
    SHOP_WINDOW,
    SIGN,
    TAILLIGHT,
    WINDOW_FIRST,
    WINDOW_LAST,
)

Floats = NDArray[np.float32]
Tint = tuple[float, float, float]


def tint(colour: Tint) -> Floats:
    """A colour as three float32."""
    return np.array(colour, dtype=np.float32)


@dataclass(frozen=True)
class Light:
    """One kind of light. Colours are linear, 1 is white paper in the noon sun.

    Attributes:
        name: As in file names.
        sun_azimuth: Degrees clockwise from north.
        sun_elevation: Degrees above the horizon.
        sun: Colour of direct light; black when overcast or dark.
        sky: Colour of the light from everywhere.
        zenith: Colour of the sky overhead.
        horizon: Colour of the sky at the horizon, and of haze.
        clouds: 0 for a clear sky to 1 for an overcast one.
        sight: Metres after which haze hides two thirds.
        lit: Share of windows with the light on.
        lamps: Strength of street lamps.
        exposure: The camera's.
    """

    name: str
    sun_azimuth: float
    sun_elevation: float
    sun: Tint
    sky: Tint
    zenith: Tint
    horizon: Tint
    clouds: float
    sight: float
    lit: float
    lamps: float
    exposure: float

    def sun_direction(self, turn: float) -> tuple[float, float, float]:
        """The unit vector to the sun in a district turned by `turn` degrees."""
        azimuth = math.radians(self.sun_azimuth - turn)
        elevation = math.radians(self.sun_elevation)
        level = math.cos(elevation)
        return level * math.sin(azimuth), level * math.cos(azimuth), math.sin(elevation)


NOON = Light(
    "noon", 172, 52, (1.5, 1.42, 1.25), (0.42, 0.48, 0.58),
    (0.16, 0.34, 0.72), (0.62, 0.74, 0.86), 0.35, 520, 0.0, 0.0, 1.0,
)  # fmt: skip
MORNING = Light(
    "morning", 96, 19, (1.5, 1.16, 0.76), (0.36, 0.42, 0.54),
    (0.24, 0.40, 0.70), (0.92, 0.80, 0.62), 0.25, 360, 0.05, 0.0, 1.1,
)  # fmt: skip
EVENING = Light(
    "evening", 262, 13, (1.6, 0.86, 0.38), (0.30, 0.32, 0.46),
    (0.20, 0.30, 0.58), (1.0, 0.58, 0.30), 0.5, 450, 0.18, 0.0, 1.15,
)  # fmt: skip
OVERCAST = Light(
    "overcast", 180, 50, (0.0, 0.0, 0.0), (0.74, 0.77, 0.80),
    (0.60, 0.64, 0.68), (0.78, 0.80, 0.82), 1.0, 240, 0.08, 0.0, 1.0,
)  # fmt: skip
FOG = Light(
    "fog", 150, 30, (0.05, 0.05, 0.05), (0.66, 0.68, 0.70),
    (0.66, 0.68, 0.70), (0.74, 0.75, 0.76), 1.0, 42, 0.2, 0.15, 1.0,
)  # fmt: skip
DUSK = Light(
    "dusk", 285, 2, (0.0, 0.0, 0.0), (0.20, 0.22, 0.34),
    (0.08, 0.13, 0.32), (0.60, 0.36, 0.30), 0.4, 300, 0.45, 0.7, 1.7,
)  # fmt: skip
NIGHT = Light(
    "night", 330, -20, (0.0, 0.0, 0.0), (0.045, 0.055, 0.095),
    (0.010, 0.015, 0.045), (0.05, 0.055, 0.09), 0.3, 240, 0.4, 1.5, 2.2,
)  # fmt: skip
LIGHTS: dict[str, Light] = {
    light.name: light for light in (NOON, MORNING, EVENING, OVERCAST, FOG, DUSK, NIGHT)
}


@dataclass(frozen=True)
class Glow:
    """What each code of a texel means in one light.

    Attributes:
        emission: (256, 3) linear colour that the texel sends out by itself.
        mirror: (256,) share of the sky's colour that it reflects.
        keep: (256,) share of its own colour that still shows where it shines.
    """

    emission: Floats
    mirror: Floats
    keep: Floats


def glow(light: Light, seed: int) -> Glow:
    """The meaning of the codes in this light; `seed` decides which windows are lit."""
    rng = np.random.default_rng([seed, 77])
    emission = np.zeros((256, 3), dtype=np.float32)
    mirror = np.zeros(256, dtype=np.float32)
    keep = np.zeros(256, dtype=np.float32)
    windows = np.arange(WINDOW_FIRST, WINDOW_LAST + 1)
    lit = rng.random(len(windows)) < light.lit
    warm = np.stack([np.full(len(windows), 0.62), rng.uniform(0.36, 0.5, len(windows)),
                     rng.uniform(0.1, 0.3, len(windows))], axis=1)  # fmt: skip
    emission[windows] = warm * lit[:, None] * rng.uniform(0.6, 1.2, (len(windows), 1))
    mirror[windows] = np.where(lit & (light.lamps > 0), 0.05, 0.34)
    shining = float(light.lamps > 0.1)
    emission[SHOP_WINDOW] = np.array([0.42, 0.36, 0.26]) * shining
    keep[SHOP_WINDOW] = 1.6 * shining
    mirror[SHOP_WINDOW] = 0.16
    keep[SIGN] = 0.5 * shining
    emission[LANTERN] = np.array([2.2, 1.7, 0.9]) * light.lamps
    emission[HEADLIGHT] = np.array([1.2, 1.1, 0.9]) * shining
    emission[TAILLIGHT] = np.array([0.7, 0.03, 0.03]) * shining
    mirror[PAINT] = 0.07
    mirror[CAR_WINDOW] = 0.3
    return Glow(emission, mirror, keep)


def sky_colours(light: Light, directions: Floats, turn: float, seed: int) -> Floats:
    """The sky.

    Args:
        light: Time of day.
        directions: (N, 3) unit vectors in the frame of the district.
        turn: The district's, in degrees.
        seed: Places the clouds.

    Returns:
        (N, 3) linear colours.
    """
    up = np.clip(directions[:, 2], 0.0, 1.0)
    blend = (1.0 - np.exp(-up / 0.28))[:, None]
    colour = tint(light.horizon) * (1 - blend) + tint(light.zenith) * blend
    sun = np.array(light.sun_direction(turn), dtype=np.float32)
    towards = np.clip(directions @ sun, 0.0, 1.0)
    strength = max(light.sun) * (1.0 - light.clouds)
    halo = 0.5 * towards**12 + 0.9 * towards**90 + 12.0 * (towards > 0.9993)
    colour = colour + (halo * strength)[:, None] * tint((1.0, 0.82, 0.55))
    if light.name == "dusk":
        colour = colour + (0.5 * towards**5 * (1 - up) ** 4)[:, None] * tint((1.0, 0.42, 0.16))
    cover = _clouds(directions, light.clouds, seed)[:, None]
    white = tint(light.sky) * 1.25 + tint(light.sun) * 0.22 + tint(light.horizon) * 0.1
    colour = colour * (1 - cover) + white * cover
    return _with_hills(light, directions, colour.astype(np.float32), turn)


def _clouds(directions: Floats, amount: float, seed: int) -> Floats:
    """How much of the sky clouds hide: a few waves across a plane high above, (N,)."""
    rng = np.random.default_rng([seed, 5])
    plane = directions[:, :2] / np.maximum(directions[:, 2:], 0.04)
    total = np.zeros(len(directions), dtype=np.float32)
    for octave in range(5):
        angle, phase = rng.uniform(0, 2 * np.pi, 2).tolist()
        bend, frequency = float(rng.uniform(0.6, 1.4)), 1.1 * 1.9**octave
        sine, cosine = math.sin(angle), math.cos(angle)
        along = plane[:, 0] * cosine + plane[:, 1] * sine
        aside = plane[:, 1] * cosine - plane[:, 0] * sine
        wave = np.sin(frequency * along + phase + bend * np.sin(0.8 * frequency * aside + phase))
        total += wave / 1.45**octave
    low = 1.6 - 2.4 * amount
    cover = np.clip((total - low) / 1.6, 0.0, 1.0) * (0.85 if amount < 1 else 0.45)
    faded: Floats = cover * np.clip(directions[:, 2] / 0.08, 0.0, 1.0)
    return faded


def _with_hills(light: Light, directions: Floats, colour: Floats, turn: float) -> Floats:
    """Distant hills, the same for the whole town."""
    azimuth = np.arctan2(directions[:, 0], directions[:, 1]) + math.radians(turn)
    crest = 0.045 + 0.018 * np.sin(3 * azimuth + 1) + 0.012 * np.sin(7 * azimuth)
    crest = crest + 0.006 * np.sin(23 * azimuth + 2)
    hill = tint(light.horizon) * 0.62 + tint((0.05, 0.09, 0.07)) * max(light.sky)
    hilly: Floats = np.where((directions[:, 2] < crest)[:, None], hill, colour)
    return hilly

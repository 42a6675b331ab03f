"""Times of day and weather: where the sun stands, what the sky looks like, what shines."""

import math
from dataclasses import dataclass

import numpy as np

from demo.pictures import LAMP, LIT_GLASS, SHOP_GLASS, TAIL_LAMP, Floats, noise

Tint = tuple[float, float, float]


def tint(*colour: float) -> Floats:
    return np.array(colour, dtype=np.float32)


@dataclass(frozen=True)
class Light:
    """One kind of light. Colours are linear, 1 is white paper in the noon sun.

    Haze of the horizon's colour hides two thirds after `sight` metres; `clouds` go from 0 to 1,
    `lamps` is the strength of what shines by itself, `wet` how much the ground mirrors.
    """

    azimuth: float
    elevation: float
    sun: Tint
    sky: Tint
    zenith: Tint
    horizon: Tint
    clouds: float
    sight: float
    lamps: float
    exposure: float
    wet: float = 0.0

    def towards_sun(self, turn: float) -> Floats:
        """The unit vector to the sun in a district turned by `turn` degrees."""
        azimuth, elevation = math.radians(self.azimuth - turn), math.radians(self.elevation)
        level = math.cos(elevation)
        return tint(level * math.sin(azimuth), level * math.cos(azimuth), math.sin(elevation))

    def emission(self) -> Floats:
        """What each kind of texel sends out by itself, (8, 3)."""
        shining = np.zeros((8, 3), dtype=np.float32)
        shining[LIT_GLASS], shining[SHOP_GLASS] = (0.62, 0.42, 0.18), (0.5, 0.42, 0.3)
        shining[LAMP], shining[TAIL_LAMP] = (2.2, 1.8, 1.1), (0.7, 0.03, 0.03)
        return shining * np.float32(self.lamps)


NONE = (0.0, 0.0, 0.0)
LIGHTS = {
    "noon": Light(172, 52, (1.9, 1.8, 1.6), (0.50, 0.57, 0.68), (0.16, 0.34, 0.72),
                  (0.62, 0.74, 0.86), 0.35, 520, 0.0, 1.0),
    "morning": Light(96, 19, (1.5, 1.16, 0.76), (0.40, 0.46, 0.58), (0.24, 0.40, 0.70),
                     (0.92, 0.80, 0.62), 0.25, 360, 0.0, 1.1),
    "evening": Light(262, 13, (1.6, 0.86, 0.38), (0.34, 0.36, 0.50), (0.20, 0.30, 0.58),
                     (1.0, 0.58, 0.30), 0.5, 450, 0.15, 1.15),
    "overcast": Light(180, 50, NONE, (0.86, 0.89, 0.92), (0.60, 0.64, 0.68),
                      (0.78, 0.80, 0.82), 1.0, 240, 0.0, 1.0),
    "rain": Light(180, 50, NONE, (0.52, 0.55, 0.60), (0.38, 0.41, 0.46),
                  (0.54, 0.56, 0.60), 1.0, 200, 0.5, 1.25, 0.4),
    "fog": Light(150, 30, NONE, (0.76, 0.78, 0.80), (0.66, 0.68, 0.70),
                 (0.74, 0.75, 0.76), 1.0, 42, 0.2, 1.0),
    "dusk": Light(285, 2, NONE, (0.24, 0.26, 0.40), (0.08, 0.13, 0.32),
                  (0.62, 0.38, 0.30), 0.4, 300, 0.7, 1.7),
    "night": Light(330, -20, NONE, (0.05, 0.06, 0.105), (0.010, 0.015, 0.045),
                   (0.05, 0.055, 0.09), 0.3, 240, 1.2, 2.2, 0.1),
}  # fmt: skip


class Sky:
    """The sky above a district turned by `turn` degrees; `seed` places the clouds."""

    def __init__(self, light: Light, turn: float, seed: int) -> None:
        self.light, self.turn, rng = light, turn, np.random.default_rng([seed, 5])
        cells = enumerate((90, 40, 18, 8), 1)
        octaves = [noise(rng, 512, 512, cell) / number for number, cell in cells]
        half: Floats = np.sum(octaves, axis=0)  # mirrored, so that it goes on without a seam
        self._clouds = np.block([[half, half[:, ::-1]], [half[::-1], half[::-1, ::-1]]])

    def colours(self, directions: Floats) -> Floats:
        """Linear colours (N, 3) of unit directions (N, 3) in the frame of the district."""
        light, up = self.light, np.clip(directions[:, 2], 0.0, 1.0)
        blend = (1.0 - np.exp(-up / 0.28))[:, None]
        colour = tint(*light.horizon) * (1 - blend) + tint(*light.zenith) * blend
        near = np.clip(directions @ light.towards_sun(self.turn), 0.0, 1.0)
        halo = 0.5 * near**12 + 0.9 * near**90 + 12.0 * (near > 0.9993)
        colour += (halo * max(light.sun) * (1.0 - light.clouds))[:, None] * tint(1.0, 0.82, 0.55)
        plane = directions[:, :2] / np.maximum(directions[:, 2:], 0.04)
        column, row = (np.floor(plane * 60).astype(np.int64) % len(self._clouds)).T
        cover = np.clip((self._clouds[row, column] + 1.6 * light.clouds - 0.9) / 1.6, 0.0, 1.0)
        cover = (cover * (1.2 - 0.8 * light.clouds) * np.clip(up / 0.08, 0.0, 1.0))[:, None]
        white = tint(*light.sky) * 1.15 + tint(*light.sun) * 0.22 + tint(*light.horizon) * 0.1
        colour = colour * (1 - cover) + white * cover
        azimuth = np.arctan2(directions[:, 0], directions[:, 1]) + math.radians(self.turn)
        crest = 0.045 + 0.018 * np.sin(3 * azimuth + 1) + 0.012 * np.sin(7 * azimuth)
        hills = tint(*light.horizon) * 0.62 + tint(0.05, 0.09, 0.07) * max(light.sky)
        return np.where((directions[:, 2] < crest)[:, None], hills, colour).astype(np.float32)

"""Turns what the rays met into a photograph: light, shade, haze, exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netvlad.demo.town.light import Glow, Light, glow, sky_colours, tint
from netvlad.demo.town.raycast import GROUND, SKY, Camera, Hits, cast, turn_to_camera
from netvlad.demo.town.scene import Scene
from netvlad.demo.town.shadows import LAMP_HEIGHT, Maps, draw_maps
from netvlad.demo.town.surfaces import SOFT, TOP, Floats, Surfaces
from netvlad.demo.town.traffic import Traffic, draw_traffic

# Rays per pixel and direction; four rays a pixel keep thin things from flickering.
OVERSAMPLING = 2
GAMMA = 2.2
LINEAR = (np.arange(256, dtype=np.float32) / 255.0) ** GAMMA
# Curtains and goods stay visible before a lit room.
SHINE = (0.35 + np.arange(256, dtype=np.float32) / 170.0).clip(0, 1.4)
LAMP_COLOUR = np.array([0.95, 0.66, 0.34], dtype=np.float32)
CLEARANCE = 3.6


@dataclass(frozen=True)
class Session:
    """One pass through a district: its light, its traffic, and the maps that follow from them."""

    scene: Scene
    light: Light
    traffic: Traffic
    maps: Maps
    glow: Glow
    seed: int


@dataclass(frozen=True)
class Exposure:
    """How one photograph differs from the light's own exposure.

    `stops` brighter, `warmth` in shares of red over blue, `grain` in shares of white.
    """

    stops: float = 0.0
    warmth: float = 0.0
    grain: float = 0.006
    seed: int = 0


def open_session(scene: Scene, light: Light, seed: int) -> Session:
    """Draws the traffic and the maps of one pass."""
    traffic = draw_traffic(scene, np.random.default_rng([seed, 3]))
    maps = draw_maps(scene.district, traffic.cars, light)
    return Session(scene, light, traffic, maps, glow(light, seed), seed)


def photograph(
    session: Session, camera: Camera, size: tuple[int, int], exposure: Exposure | None = None
) -> NDArray[np.uint8]:
    """One picture.

    Args:
        session: Where and when.
        camera: From where. Cars closer than `CLEARANCE` metres are taken to have driven on.
        size: Rows and columns.
        exposure: Brightness, white balance and grain.

    Returns:
        (rows, columns, 3) uint8.
    """
    exposure = exposure or Exposure()
    fine = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    surfaces, scale = _visible(session, camera)
    hits = cast(surfaces, scale, session.scene.atlas, camera, fine)
    colour = shade(session, surfaces, camera, hits)
    return develop(_pool(np.minimum(colour, 3.0)), session.light, exposure)


def _pool(fine: Floats) -> Floats:
    """The mean of the rays of each pixel."""
    steps = range(OVERSAMPLING)
    parts = [fine[r::OVERSAMPLING, c::OVERSAMPLING] for r in steps for c in steps]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total / np.float32(len(parts))


def _visible(session: Session, camera: Camera) -> tuple[Surfaces, Floats]:
    """Everything that stands there, and by how much each is larger than its picture."""
    scene, traffic = session.scene, session.traffic
    place = np.array(camera.position, dtype=np.float32)
    apart = np.hypot(*(traffic.owners - place).T) > CLEARANCE
    passing = np.hypot(*(traffic.people.position - place).T) > 1.5
    people = turn_to_camera(traffic.people, camera).take(passing)
    still = turn_to_camera(scene.billboards, camera)
    walls = scene.surfaces.joined(traffic.surfaces.take(apart))
    scale = np.concatenate(
        [
            np.ones(len(walls), dtype=np.float32),
            scene.billboards.scale,
            traffic.people.scale[passing],
        ]
    )
    return walls.joined(still).joined(people), scale


def shade(session: Session, surfaces: Surfaces, camera: Camera, hits: Hits) -> Floats:
    """The light that every ray brings, (H, W, 3) linear."""
    rows, columns = hits.surface.shape
    focal = camera.focal_length(columns)
    forward, light = camera.forward(), session.light
    slope = ((np.arange(columns) + 0.5 - columns / 2) / focal).astype(np.float32)
    rise = ((rows * camera.horizon - np.arange(rows) - 0.5) / focal).astype(np.float32)
    # A ray leads, per metre of depth, this far to the east, to the north and up.
    east, north = forward[0] + slope * forward[1], forward[1] - slope * forward[0]
    stretch = np.sqrt(1 + slope**2)
    is_sky = hits.surface.ravel() == SKY
    colour = np.empty((rows * columns, 3), dtype=np.float32)
    above = np.flatnonzero(is_sky)
    row, column = np.divmod(above, columns)
    directions = np.stack([east[column], north[column], rise[row]], axis=1)
    directions /= np.sqrt((stretch**2)[column] + rise[row] ** 2)[:, None]
    turn = session.scene.district.turn
    colour[above] = sky_colours(light, directions, turn, session.seed)
    solid = np.flatnonzero(~is_sky)
    column = solid % columns
    depth = hits.depth.ravel()[solid]
    x = (camera.position[0] + depth * east[column]).astype(np.float32)
    y = (camera.position[1] + depth * north[column]).astype(np.float32)
    lit = _shade_solid(session, surfaces, hits, solid, (x, y), camera.height / focal)
    clear = np.exp(-depth * stretch[column] / light.sight)[:, None]
    colour[solid] = lit * clear + tint(light.horizon) * (1 - clear)
    return colour.reshape(rows, columns, 3)


def _shade_solid(
    session: Session,
    surfaces: Surfaces,
    hits: Hits,
    solid: NDArray[np.intp],
    place: tuple[Floats, Floats],
    ground_footprint: float,
) -> Floats:
    """Light from everything but the sky, (N, 3): own colour times light, mirrored sky, own glow."""
    surface, z = hits.surface.ravel()[solid], hits.z.ravel()[solid]
    texel = hits.texel.ravel()[solid]
    x, y = place
    atlas, ground = session.scene.atlas, session.scene.ground
    left, bottom, _, top = session.scene.district.extent
    at = np.flatnonzero(surface == GROUND)
    texel[at] = atlas.look_up(
        np.full(len(at), ground, dtype=np.int32),
        np.maximum(x[at] - np.float32(left), 0),
        np.clip(y[at] - np.float32(bottom), 0, np.float32(top - bottom - 0.2)),
        hits.depth.ravel()[solid[at]] * np.float32(0.8 * ground_footprint),
    )
    parts = texel.view(np.uint8).reshape(-1, 4)
    own = LINEAR[parts[:, :3]]
    code = parts[:, 3]
    light = _arriving(session, surfaces, surface, z, x, y)
    mirror = session.glow.mirror[code][:, None]
    sky = tint(session.light.horizon) * 0.5 + tint(session.light.zenith) * 0.5
    total = own * (light * (1 - mirror) + session.glow.keep[code][:, None])
    mixed: Floats = total + SHINE[parts[:, :3]] * session.glow.emission[code] + mirror * sky
    return mixed


def _arriving(
    session: Session,
    surfaces: Surfaces,
    surface: NDArray[np.int32],
    z: Floats,
    x: Floats,
    y: Floats,
) -> Floats:
    """Sunlight, skylight and lamplight that arrive at each point, (N, 3)."""
    light, maps = session.light, session.maps
    is_ground = surface == GROUND
    sun = np.array(light.sun_direction(session.scene.district.turn), dtype=np.float32)
    normals = surfaces.normals()
    facing = np.clip(normals @ sun[:2], 0.0, 1.0)
    facing = np.where(surfaces.kind == TOP, sun[2], facing)
    facing = np.where(surfaces.kind == SOFT, 0.55, facing)
    # Walls to the left and right of a street differ a little even without a sun.
    ambient = 0.86 + 0.14 * normals @ np.array([0.6, -0.8], dtype=np.float32)
    ambient = np.where(surfaces.kind == SOFT, 0.95, ambient)
    # Half a metre before the wall, or the wall would stand in its own shadow.
    away = np.where(is_ground[:, None], np.float32(0.0), np.float32(0.5) * normals[surface])
    shadow = maps.sample(maps.shadow, x + away[:, 0], y + away[:, 1])
    direct = np.clip(1.0 - (shadow - z) / 0.5, 0.0, 1.0)
    direct = direct * np.where(is_ground, sun[2], facing[surface])
    open_sky = np.where(is_ground, 1.0 - 0.55 * maps.sample(maps.crevices, x, y), ambient[surface])
    open_sky = open_sky * np.where(is_ground, 1.0, 0.72 + 0.28 * np.clip(z / 4.0, 0, 1))
    total: Floats = direct[:, None] * tint(light.sun) + open_sky[:, None] * tint(light.sky)
    if light.lamps > 0:
        near = maps.sample(maps.lamps, x, y) * np.exp(-np.maximum(z - LAMP_HEIGHT + 1.4, 0) / 1.6)
        total += np.float32(1.5 * light.lamps) * near[:, None] * LAMP_COLOUR
    return total


def develop(colour: Floats, light: Light, exposure: Exposure) -> NDArray[np.uint8]:
    """A linear picture (H, W, 3) as 8 bits: exposure, soft highlights, grain, darker corners."""
    rows, columns = colour.shape[:2]
    gain = 1.3 * light.exposure * 2.0**exposure.stops
    balance = np.array([1 + exposure.warmth, 1.0, 1 - exposure.warmth], dtype=np.float32)
    v = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    u = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    corners = 1.0 - 0.13 * (u**2 + v**2) / 2
    bright = colour * gain * balance * corners[..., None]
    soft = bright * (1 + bright / 4.0) / (1 + bright * 0.9)
    shown = np.clip(soft, 0, 1) ** (1 / GAMMA)
    rng = np.random.default_rng([exposure.seed, 11])
    grain = rng.standard_normal((rows, columns, 1), dtype=np.float32)
    pixels: Floats = np.clip(255 * (shown + exposure.grain * grain) + 0.5, 0, 255)
    return pixels.astype(np.uint8)

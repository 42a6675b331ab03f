"""Builds streets and parks: the ground, its markings, and what stands on it."""

import math
from functools import cache

import numpy as np

from demo.layout import District, Land, Street
from demo.model import Frame, Model, Span
from demo.pictures import GROUND, LAMP, LEAF, Colour, Floats, Rng, masonry, speckled
from demo.styles import pick, vary

KERB = 0.13
LAMP_HEIGHT = 4.7
IRON, BARK, STEEL, STONE = (52, 58, 58), (88, 70, 54), (150, 152, 152), (176, 170, 158)
PAINT, TAR, CURB = (222, 220, 212, GROUND), (54, 52, 53, GROUND), (158, 156, 150, GROUND)
LEAVES = (
    (84, 118, 50), (62, 100, 48), (108, 132, 58), (142, 98, 50), (72, 110, 64), (126, 128, 54),
)  # fmt: skip
LEAVES_A_TREE = 1600
SIGNS = ((186, 30, 34), (28, 76, 160), (224, 190, 50))


def build_streets(model: Model, district: District) -> None:
    """Add everything outside of houses."""
    rng = district.rng(2)

    def laid(colour: Colour, stone: Span) -> int:
        return model.picture(masonry(rng, (144, 144), (*colour, GROUND), stone, 0.07), 16.0)

    surfaces = {
        "cobbles": laid((104, 98, 92), (2.4, 3.2)),
        "slabs": laid((142, 138, 130), (16, 16)),
    }
    surfaces["asphalt"] = model.picture(speckled(rng, (74, 74, 77, GROUND), 0.06), 16.0)
    paving = laid((150, 146, 138), (9, 9))
    lawn = model.picture(speckled(rng, (88, 116, 54), 0.1), 10.0)
    model.flat(Frame((100.0, 80.0)), (900.0, 900.0), -0.06, lawn)
    for left, low, right, high in district.blocks:
        bounds = (0.0, right - left), (0.0, high - low), (-0.1, KERB)
        model.box(Frame((left, high)), *bounds, CURB, paving)
    for number, street in enumerate(district.streets):
        middle = street.frame.moved(street.length / 2, 0.0)
        model.flat(middle, (street.length, street.road), 0.002 * number, surfaces[street.surface])
        _markings(model, rng, street)
        for side in (-1, 1):
            _along(model, rng, street, side, number)
    for park in district.parks:
        _park(model, rng, park, lawn)


def _markings(model: Model, rng: Rng, street: Street) -> None:
    """Broken lines and zebra crossings on asphalt; manholes and patches everywhere."""
    if street.surface == "asphalt":
        for start, end in street.stretches(3.5):
            for along in np.arange(start, end - 1.5, 5.0).tolist():
                model.flat(street.frame.moved(along + 1.0, 0.0), (2.0, 0.14), 0.03, PAINT)
        for along in (a + b for gap in street.gaps for a, b in zip(gap, (-1.5, 1.5), strict=True)):
            for aside in np.arange(0.5 - street.road / 2, street.road / 2 - 0.4, 1.0).tolist():
                model.flat(street.frame.moved(along, aside), (2.6, 0.5), 0.03, PAINT)
    for along in np.arange(5.0, street.length - 5, 8.0).tolist():
        at = street.frame.moved(along + float(rng.uniform(-5, 5)), float(rng.uniform(-2, 2)))
        size = (0.8, 0.8) if rng.random() < 0.5 else tuple(rng.uniform(0.6, 3, 2).tolist())
        model.flat(at, size, 0.028, TAR)


def _along(model: Model, rng: Rng, street: Street, side: int, number: int) -> None:
    """One pavement: trees and lamps by turns, some road signs and bins."""
    for start, end in street.stretches(2.5):
        for step, along in enumerate(np.arange(start, end, 9.0).tolist()):
            kerb = side * (street.road / 2 + 0.7)
            at = street.frame.moved(along + float(rng.uniform(-1.5, 1.5)), kerb)
            model.obstacles.append(at.origin)
            if street.trees and step % 3 != 1:
                build_tree(model, rng, at, number if rng.random() < 0.85 else number + 1)
            elif step % 3 == 1 and (step + side) % 2:
                model.lamps.append(at.origin)
                half, top = (0.3, LAMP_HEIGHT + 0.2) if number % 2 else (0.18, LAMP_HEIGHT + 0.5)
                model.pillar(at, 0.12, (0.0, 0.9), IRON)
                model.pillar(at, 0.06, (0.0, LAMP_HEIGHT), IRON)
                model.pillar(at, half, (LAMP_HEIGHT, top), (250, 236, 200, LAMP))
            elif rng.random() < 0.4:
                model.pillar(at, 0.3, (KERB, 1.15), (60, 84, 66))
            else:
                model.pillar(at, 0.04, (0.0, 2.3), STEEL)
                model.box(at, (-0.03, 0.03), (-0.35, 0.35), (2.2, 2.9), pick(rng, SIGNS))


@cache
def _crown(kind: int) -> tuple[Floats, "np.typing.NDArray[np.float64]"]:
    """Leaves (N, 4, 3), three-cornered, of a tree 7 m high, and how bright each is (N,)."""
    rng = np.random.default_rng([kind, 17])
    if kind == 4:  # a conifer
        clumps = [(0.0, 0.0, 1.2 + 0.5 * k, 1.7 - 0.15 * k) for k in range(11)]
    elif kind == 5:  # a poplar
        clumps = [(0.0, 0.0, 2.0 + 0.62 * k, 1.1 - 0.06 * abs(k - 3)) for k in range(7)]
    else:
        polar = zip(rng.uniform(0, 2 * math.pi, 12), rng.uniform(0.3, 1.4, 12), strict=True)
        level = [(out * math.cos(angle), out * math.sin(angle)) for angle, out in polar]
        clumps = [(x, y, rng.uniform(3.5, 5.8), rng.uniform(0.7, 1.15)) for x, y in level]
    radius = np.array([clump[3] for clump in clumps])
    which = rng.choice(len(clumps), LEAVES_A_TREE, p=radius**2 / np.sum(radius**2))
    way = rng.standard_normal((LEAVES_A_TREE, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    shell = radius[which, None] * rng.uniform(0.55, 1.0, (LEAVES_A_TREE, 1)) ** 0.5
    centre = (np.array(clumps)[which, :3] + way * shell)[:, None]
    a, b = 0.09 * rng.standard_normal((2, LEAVES_A_TREE, 1, 3))
    leaves = centre + np.concatenate([-a - b, a - b, b, -a - b], axis=1)
    return leaves, 0.95 + 0.2 * way[:, 2] + 0.08 * rng.standard_normal(LEAVES_A_TREE)


def build_tree(model: Model, rng: Rng, at: Frame, kind: int) -> None:
    """A trunk and a crown of leaves in five tints."""
    size, turn = float(rng.uniform(0.8, 1.2)), float(rng.uniform(0, 2 * math.pi))
    leaves, brightness = _crown(kind % len(LEAVES))
    cosine, sine = size * math.cos(turn), size * math.sin(turn)
    spin = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, size]])
    colour, shades = LEAVES[kind % len(LEAVES)], (0.7, 0.85, 1.0, 1.15, 1.3)
    tints = [model.number((*(int(c * shade) for c in colour), LEAF)) for shade in shades]
    which = np.clip(((brightness - 0.7) / 0.12).astype(int), 0, 4)
    model.faces(leaves @ spin.T + np.array([*at.origin, KERB]), np.array(tints)[which])
    model.pillar(at, 0.14, (0.0, 4.6 * size), BARK)


def _park(model: Model, rng: Rng, park: Land, lawn: int) -> None:
    """A lawn with trees, a hedge around it, and a monument in the middle."""
    left, low, right, high = park
    frame, wide, long = Frame((left + 2.5, high - 2.5)), right - left - 5, high - low - 5
    middle = frame.moved(wide / 2, long / 2)
    model.flat(middle, (wide, long), KERB + 0.02, lawn)
    hedge = model.picture(speckled(rng, (*vary(rng, (58, 88, 42), 10), LEAF), 0.16), 12.0)
    tall = (0.0, float(rng.uniform(0.8, 1.3)))
    for edge in (0.0, long - 0.8):
        for start, end in ((0.0, wide / 2 - 2), (wide / 2 + 2, wide)):
            model.box(frame, (start, end), (edge, edge + 0.8), tall, hedge)
    for edge in (0.0, wide - 0.8):
        model.box(frame, (edge, edge + 0.8), (0.0, long), tall, hedge)
    for _ in range(round(wide * long / 90)):
        at = frame.moved(float(rng.uniform(2, wide - 2)), float(rng.uniform(2, long - 2)))
        model.obstacles.append(at.origin)
        build_tree(model, rng, at, int(rng.integers(len(LEAVES))))
    for half, z in ((2.0, (0.0, 0.5)), (1.0, (0.5, 2.2)), (0.35, (2.2, 6.0))):
        model.pillar(middle, half, z, STONE)

import csv
import hashlib
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo.camera import Camera, Session
from demo.facades import paint_front
from demo.layout import SPLITS, District, Plan, lay_out_district
from demo.light import LIGHTS
from demo.model import Frame, Model, Scene
from demo.pictures import Pile
from demo.streets import build_streets
from demo.styles import NEIGHBOURHOODS, Style
from demo.town import render_town
from demo.traffic import build_traffic
from demo.views import View, plan_views
from PIL import Image

from netvlad.errors import StorageError

TINY = Plan(train=(1, 1), val=(1, 1), test=(1, 1), queries=(0.4, 0.4, 0.4), image_size=(24, 32))


def draw(folder: Path, plan: Plan = TINY, workers: int = 1) -> list[tuple[int, int]]:
    return list(render_town(folder, plan, workers))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "town"
    draw(folder)
    return folder


def rows(folder: Path, split: str) -> list[dict[str, str]]:
    with (folder / f"{split}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = [*folder.rglob("*.jpg"), *folder.rglob("*.csv")]
    return {f"{f.relative_to(folder)}": hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_tables_and_images_agree(town):
    for split in SPLITS:
        table = rows(town, split)
        assert {row["role"] for row in table} == {"database", "query"}
        assert len({row["image"] for row in table}) == len(table)
        for row in table:
            with Image.open(town / row["image"]) as image:
                assert (image.format, image.size) == ("JPEG", (32, 24))
            assert 0 <= float(row["heading"]) < 360
            assert 499_000 < float(row["easting"]) < 502_000
            assert 4_999_000 < float(row["northing"]) < 5_002_000
    tables = sum(len(rows(town, split)) for split in SPLITS)
    assert len(list(town.rglob("*.jpg"))) == tables


def test_the_same_bytes_with_two_processes(town, tmp_path):
    steps = draw(tmp_path / "town", workers=2)
    assert digests(tmp_path / "town") == digests(town)
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1]
    assert steps == sorted(steps)


def test_another_seed_is_another_town():
    assert lay_out_district("val", TINY) != lay_out_district("val", replace(TINY, seed=8))


def test_images_are_pictures_and_differ(town):
    images = [np.asarray(Image.open(path)) for path in town.rglob("*.jpg")]
    assert len({image.tobytes() for image in images}) == len(images)
    assert np.median([image.std() for image in images]) > 20


def test_an_interrupted_town_is_finished_and_whole_images_are_kept(town, tmp_path):
    half = Path(shutil.copytree(town, tmp_path / "town"))
    lost = sorted(half.rglob("*.jpg"))[::2]
    kept = {path: path.stat().st_mtime_ns for path in half.rglob("*.jpg") if path not in lost}
    for path in lost:
        path.unlink()
    draw(half)
    assert digests(half) == digests(town)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert not list(half.rglob("*.tmp"))


@pytest.mark.parametrize("plan", [TINY, replace(TINY, seed=8)])
def test_what_is_not_this_town_is_left_alone(tmp_path, plan):
    if plan != TINY:
        next(render_town(tmp_path, TINY, 1))
    mine = tmp_path / "images/mine.jpg"
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(b"mine")
    with pytest.raises(StorageError, match="another town; remove"):
        draw(tmp_path, plan)
    assert mine.read_bytes() == b"mine"


def planned(split: str, plan: Plan) -> tuple[District, Model, list[View]]:
    """A district without its houses' pictures."""
    district, model = lay_out_district(split, plan), Model()
    build_streets(model, district)
    return district, model, plan_views(district, plan, model.obstacles)


@pytest.fixture(scope="module")
def whole():
    return {split: planned(split, Plan()) for split in SPLITS}


def positions(built, role: str) -> np.ndarray:
    district, _, views = built
    cameras = [view.camera.position for view in views if view.role == role]
    return np.array([district.to_world(position)[:2] for position in cameras])


def test_streets_of_the_splits_are_far_apart(whole):
    ends = {
        split: np.array(
            [
                district.to_world(street.frame.at(along, 0.0)[:2])[:2]
                for street in district.streets
                for along in np.linspace(0, street.length, 50)
            ]
        )
        for split, (district, _, _) in whole.items()
    }
    for ours, theirs in (("train", "val"), ("train", "test"), ("val", "test")):
        apart = np.linalg.norm(ends[ours][:, None] - ends[theirs][None], axis=2)
        assert apart.min() > 60


def test_queries_have_answers_and_stand_in_streets(whole):
    for built in whole.values():
        database, queries = positions(built, "database"), positions(built, "query")
        apart = np.linalg.norm(queries[:, None] - database[None], axis=2)
        assert apart.min(axis=1).max() < 10
        assert len(np.unique(database, axis=0)) * 4 == len(database)


@pytest.mark.parametrize("seed", [1, 7, 30])
def test_nobody_photographs_from_inside_a_house_or_a_tree(seed):
    plan = Plan(train=(2, 2), val=(2, 2), test=(2, 1), queries=(2.0, 2.0, 2.0), seed=seed)
    district, model, views = planned("test", plan)
    for view in views:
        x, y = view.camera.position
        for house in district.houses:
            (left, low), (ax, ay) = house.frame.origin, house.frame.along
            along, inside = (x - left) * ax + (y - low) * ay, (y - low) * ax - (x - left) * ay
            assert not (-0.5 < along < house.width + 0.5 and -0.5 < inside < 10.5)
        if view.role == "query":
            assert min(math.dist((x, y), thing) for thing in model.obstacles) > 1.0


def test_no_two_fronts_are_the_same(whole):
    houses = [house for district, _, _ in whole.values() for house in district.houses]
    fronts = [(house.style.wall, house.style.trim, house.style.seed) for house in houses]
    assert len(set(fronts)) == len(fronts)


def test_queries_see_other_light_and_other_cars_than_the_database(whole):
    _, _, views = whole["test"]
    sessions = {
        role: {v.session for v in views if v.role == role} for role in ("database", "query")
    }
    assert not sessions["database"] & sessions["query"]
    assert {view.light for view in views if view.role == "query"} == set(LIGHTS)
    assert {view.light for view in views if view.role == "database"} == {"noon"}


def test_cars_move_between_sessions_and_none_stands_on_a_camera(whole):
    district, _, views = whole["train"]

    def traffic(session: int) -> np.ndarray:
        model = Model()
        build_traffic(model, district, session, cameras)
        return np.concatenate(model.corners)

    cameras = np.float32([view.camera.position for view in views if view.session == 0])
    once, again, other = traffic(0), traffic(0), traffic(1)
    assert np.array_equal(once, again)
    assert once.shape != other.shape or not np.allclose(once, other)
    corners = once[..., :2].reshape(-1, 1, 2)
    nearest = min(np.linalg.norm(corners - camera, axis=2).min() for camera in cameras)
    assert nearest > 0.5


def test_an_edge_appears_where_a_pinhole_puts_it():
    model = Model()
    model.face(
        [(-1.0, 12.0, 0.0), (3.0, 12.0, 0.0), (3.0, 12.0, 10.0), (-1.0, 12.0, 10.0)], (9, 9, 9)
    )
    rows_, columns = 480, 640
    rays = Camera((0.5, 2.0), 1.6, 10.0, 75.0, 0.6).rays((rows_, columns))
    hits = Scene(model).meet(np.tile(np.float32([0.5, 2.0, 1.6]), (len(rays), 1)), rays)
    seen = np.zeros(rows_ * columns, dtype=bool)
    seen[hits.ray] = True
    seen = seen.reshape(rows_, columns)
    # By hand: turn the edge into the camera's frame, then focal length times right over depth.
    angle, focal = math.radians(10.0), 320 / math.tan(math.radians(37.5))
    for x, end in ((-1.5, 0), (2.5, -1)):
        right = x * math.cos(angle) - 10.0 * math.sin(angle)
        depth = x * math.sin(angle) + 10.0 * math.cos(angle)
        column, foot = 320 + focal * right / depth, 288 + focal * 1.6 / depth
        at_eye_height = np.flatnonzero(seen[288])
        assert at_eye_height[end] - end == pytest.approx(column, abs=1)
        assert np.flatnonzero(seen[:, at_eye_height[end]])[-1] + 1 == pytest.approx(foot, abs=1)


def test_near_things_hide_far_ones_and_distances_are_true():
    model, colours = Model(), ((200, 0, 0), (0, 200, 0))
    model.box(Frame((0.0, 8.0)), (-2.0, 2.0), (-1.0, 0.0), (0.0, 3.0), colours[0])
    model.box(Frame((0.0, 30.0)), (-2.0, 2.0), (-1.0, 0.0), (0.0, 10.0), colours[1])
    way = np.float32([[0, 1, 0], [0, 30, 7], [9, 1, 0], [1, 8, 0]])
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    origins = np.tile(np.float32([0.0, 0.0, 1.6]), (4, 1))
    hits = Scene(model).meet(origins, way)
    assert hits.ray.tolist() == [0, 1, 3]
    assert hits.picture.tolist() == [
        model.number(colours[0]),
        model.number(colours[1]),
        model.number(colours[0]),
    ]
    assert hits.distance == pytest.approx([8.0, math.hypot(30, 7), math.hypot(1, 8)], rel=1e-5)
    assert hits.normal == pytest.approx(np.float32([[0, -1, 0]] * 3), abs=1e-6)
    assert hits.at[:, 0] == pytest.approx([2.0, 2.0, 3.0], abs=1e-4)
    assert hits.at[:, 1] == pytest.approx([1.6, 8.6, 1.6], abs=1e-4)
    free = Scene(model).is_free(origins, way)
    assert free.tolist() == [False, False, True, False]


def test_a_picture_lies_upright_and_is_averaged_from_afar():
    texels = np.zeros((4, 4, 4), dtype=np.uint8)
    texels[0, :, 0] = 100  # the top row
    texels[3, 0, 1] = 200  # the lower left corner
    pile = Pile([texels], [1.0])
    at = np.float32([[0.5, 3.5], [0.5, 0.5], [3.5, 0.5], [4.5, 3.5]])
    near = pile.look_up(np.zeros(4, dtype=int), at, np.full(4, 0.1, np.float32))
    assert near[:, :2].tolist() == [[100, 0], [0, 200], [0, 0], [100, 0]]
    far = pile.look_up(np.zeros(1, dtype=int), at[:1], np.float32([4.0]))
    assert far[0, :2] == pytest.approx([25, 200 / 16], abs=1)


def shadow_scene() -> Session:
    """White ground, and a wall 4 m high along `y` at x = 0 that the evening sun shines on."""
    model = Model()
    model.flat(Frame((0.0, 0.0)), (400.0, 400.0), 0.0, (255, 255, 255))
    model.box(Frame((0.0, 0.0)), (-0.1, 0.1), (-150.0, 150.0), (0.0, 4.0), (255, 255, 255))
    return Session(model, "evening", "train", 1)


def test_a_wall_throws_a_shadow_as_long_as_the_sun_is_low():
    session = shadow_scene()
    # The sun stands at 262 - 14 degrees clockwise from y, so the shadow falls towards +x.
    azimuth, elevation = math.radians(262 - 14), math.radians(13)
    reach = 4.0 / math.tan(elevation) * -math.sin(azimuth)
    x = np.arange(0.5, 40.0, 0.25, dtype=np.float32)
    points = np.column_stack([x, 0 * x, 0 * x + 0.01])
    up, matte = np.tile(np.float32([0, 0, 1]), (len(x), 1)), np.zeros(len(x), np.uint8)
    lit = session._direct(points, up, matte)[:, 0] > 0
    assert x[lit][0] - 0.1 == pytest.approx(reach, abs=0.3)
    assert lit[x > reach + 0.5].all()


def test_the_foot_of_a_wall_sees_half_the_sky():
    session = shadow_scene()
    camera = Camera((8.0, 0.0), 1.7, 270.0, 60.0, 0.3)
    grid = (240, 320)
    rays = camera.rays(grid)
    hits = session.scene.meet(np.tile(np.float32([8.0, 0.0, 1.7]), (len(rays), 1)), rays)
    points = np.float32([8.0, 0.0, 1.7]) + rays[hits.ray] * hits.distance[:, None]
    open_sky = session._open_sky(points + 0.01 * hits.normal, hits, grid, np.random.default_rng(1))
    on_ground = hits.normal[:, 2] > 0.9
    near, far = on_ground & (points[:, 0] < 0.6), on_ground & (points[:, 0] > 4.0)
    # What does not see the sky gets 0.4 of its light thrown back. A long wall of angle a above the
    # horizon hides (1 - cos a) / 2 of a level surface's sky.
    angle = np.arctan2(4.0, points[:, 0] - 0.1)
    expected = 1 - 0.6 * (1 - np.cos(angle)) / 2
    for where in (near, far):
        assert open_sky[where].mean() == pytest.approx(expected[where].mean(), abs=0.02)


def test_headings_are_clockwise_from_north():
    district = lay_out_district("train", TINY)
    ray = Camera((0.0, 0.0), 2.0, 90.0).rays((1, 1))[0]
    origin, ahead = (
        np.array(district.to_world(p)[:2]) for p in ((0.0, 0.0), (10 * ray[:2]).tolist())
    )
    east, north = ahead - origin
    heading = district.to_world((0.0, 0.0), 90.0)[2]
    assert math.degrees(math.atan2(east, north)) % 360 == pytest.approx(heading, abs=1e-3)


def test_every_style_of_house_can_be_painted():
    rng = np.random.default_rng(3)
    for hood in NEIGHBOURHOODS * 8:
        style = Style(rng, hood)
        for width in (3.0, 14.0):
            texels = paint_front(rng, style, width, flank=False)
            assert texels.shape == (round(style.eaves * 20), round(width * 20), 4)
            assert texels[..., :3].std() > 3

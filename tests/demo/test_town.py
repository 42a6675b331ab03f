import csv
import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netvlad.demo.town import TownSize, render_town
from netvlad.demo.town.atlas import AtlasBuilder
from netvlad.demo.town.layout import SPLITS, WHOLE_TOWN, lay_out_district
from netvlad.demo.town.light import LIGHTS
from netvlad.demo.town.plan import District
from netvlad.demo.town.raycast import GROUND, Camera, cast
from netvlad.demo.town.surfaces import SurfaceBuilder
from netvlad.demo.town.views import plan_views
from netvlad.errors import StorageError

TINY = TownSize(train=(1, 1), val=(1, 1), test=(1, 1), queries=(0.4, 0.4, 0.4))
SIZE = (24, 32)
SMALL = {"image_size": SIZE, "workers": 1, "town": TINY}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    summary = render_town(folder, **SMALL)
    return folder, summary


def read(folder: Path, split: str) -> list[dict[str, str]]:
    with (folder / f"{split}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".jpg", ".csv")
    }


def wall_picture(height=10.0, width=4.0, colour=200):
    atlas = AtlasBuilder()
    texels = np.full((int(height * 10), int(width * 10), 4), colour, dtype=np.uint8)
    texels[..., 3] = 255
    return atlas, atlas.add(texels, 10.0)


def test_tables_and_images_agree(town):
    folder, summary = town
    for split in SPLITS:
        rows = read(folder, split)
        assert list(rows[0]) == ["image", "easting", "northing", "heading", "role"]
        assert sum(row["role"] == "database" for row in rows) == summary.database[split] > 0
        assert sum(row["role"] == "query" for row in rows) == summary.queries[split] > 0
        assert len({row["image"] for row in rows}) == len(rows)
        for row in rows:
            with Image.open(folder / row["image"]) as image:
                assert image.format == "JPEG"
                assert image.size == (SIZE[1], SIZE[0])
            assert 0 <= float(row["heading"]) < 360
            assert len(row["easting"].split(".")[1]) == 3
            assert 499_000 < float(row["easting"]) < 502_000
            assert 4_999_000 < float(row["northing"]) < 5_002_000
    assert len(list(folder.rglob("*.jpg"))) == summary.images


def test_the_same_bytes_with_two_processes(town, tmp_path):
    folder, _ = town
    steps = []
    render_town(
        tmp_path,
        **(SMALL | {"workers": 2}),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert digests(tmp_path) == digests(folder)
    assert steps[-1][0] == steps[-1][1] == len(list(folder.rglob("*.jpg")))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_images_are_pictures_and_differ(town):
    folder, _ = town
    images = [np.asarray(Image.open(path)) for path in folder.rglob("*.jpg")]
    assert len({image.tobytes() for image in images}) == len(images)
    assert np.median([image.std() for image in images]) > 20


class StoppedError(Exception):
    pass


def stop(done: int, total: int) -> None:
    raise StoppedError


def test_a_finished_town_is_reused(town, tmp_path):
    folder = Path(shutil.copytree(town[0], tmp_path / "copy"))
    summary = render_town(folder, progress=stop, **SMALL)
    assert not summary.rendered
    assert (summary.database, summary.queries) == (town[1].database, town[1].queries)


@pytest.mark.parametrize("change", ["seed", "image", "mark"])
def test_what_is_not_the_finished_town_is_rendered_anew(town, tmp_path, change):
    folder = Path(shutil.copytree(town[0], tmp_path / "copy"))
    if change == "image":
        next(folder.rglob("*.jpg")).unlink()
    elif change == "mark":
        (folder / "town.json").write_text("{")
    with pytest.raises(StoppedError):
        render_town(folder, seed=8 if change == "seed" else 7, progress=stop, **SMALL)
    assert not (folder / "town.json").exists()
    assert not (folder / "test.csv").exists()


def test_a_killed_render_is_not_taken_for_a_town(town, tmp_path):
    with pytest.raises(StoppedError):
        render_town(tmp_path, progress=stop, **SMALL)
    assert not (tmp_path / "test.csv").exists()
    assert not list(tmp_path.rglob("*.tmp"))
    assert render_town(tmp_path, **SMALL).rendered
    assert digests(tmp_path) == digests(town[0])


def test_other_peoples_images_are_left_alone(tmp_path):
    mine = tmp_path / "images" / "mine.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(StorageError, match="not a rendered town"):
        render_town(tmp_path, **SMALL)
    assert mine.read_bytes() == b"mine"


def test_the_mark_names_the_parameters(town):
    mark = json.loads((town[0] / "town.json").read_text())
    assert mark["seed"] == 7
    assert mark["image_size"] == list(SIZE)


def positions(district: District, role: str | None = None) -> np.ndarray:
    views = plan_views(district, WHOLE_TOWN)
    return np.array(
        [district.to_world(v.camera.position) for v in views if role is None or v.role == role]
    )


def test_splits_are_far_apart():
    places = [positions(lay_out_district(split, WHOLE_TOWN, 7)) for split in SPLITS]
    for number, ours in enumerate(places):
        for theirs in places[number + 1 :]:
            apart = np.hypot(*(ours[:, None] - theirs[None]).transpose(2, 0, 1))
            assert apart.min() > 60


@pytest.mark.parametrize("seed", [1, 7, 30])
def test_queries_are_near_the_database_and_outside_of_houses(seed):
    for split in SPLITS:
        district = lay_out_district(split, WHOLE_TOWN, seed)
        database, queries = positions(district, "database"), positions(district, "query")
        apart = np.hypot(*(queries[:, None] - database[None]).transpose(2, 0, 1))
        assert apart.min(axis=1).max() < 10
        for view in plan_views(district, WHOLE_TOWN):
            x, y = view.camera.position
            for building in district.buildings:
                corners = np.array(building.footprint())
                low, high = corners.min(0), corners.max(0)
                assert not (low[0] - 0.5 < x < high[0] + 0.5 and low[1] - 0.5 < y < high[1] + 0.5)


def test_no_two_fronts_are_the_same():
    buildings = [b for s in SPLITS for b in lay_out_district(s, WHOLE_TOWN, 7).buildings]
    # A church and its tower share their style.
    fronts = [b.style for b in buildings if b.style.window != "pointed"]
    assert len(set(fronts)) == len(fronts)


def test_queries_see_other_light_and_other_cars_than_the_database():
    views = plan_views(lay_out_district("test", WHOLE_TOWN, 7), WHOLE_TOWN)
    database = {view.session for view in views if view.role == "database"}
    queries = {view.session for view in views if view.role == "query"}
    assert not database & queries
    assert {view.light for view in views if view.role == "query"} == set(LIGHTS)


def test_an_edge_appears_where_a_pinhole_puts_it():
    atlas, picture = wall_picture()
    builder = SurfaceBuilder()
    builder.add((-1.0, 12.0), (3.0, 12.0), 0.0, 10.0, picture, opaque=True)
    camera = Camera((0.5, 2.0), 1.6, 10.0, field_of_view=75.0, horizon=0.6)
    size = (480, 640)
    hits = cast(builder.build(), np.ones(1, np.float32), atlas.pack(), camera, size)
    corners = np.array([[-1.0, 12.0, 0.0], [3.0, 12.0, 0.0]])
    columns, rows, _ = camera.project(corners, size)
    # By hand: turn the edge into the camera's frame, then focal length times right over depth.
    angle, focal = math.radians(10.0), 320 / math.tan(math.radians(37.5))
    right = -1.5 * math.cos(angle) - 10.0 * math.sin(angle)
    depth = -1.5 * math.sin(angle) + 10.0 * math.cos(angle)
    assert columns[0] == pytest.approx(320 + focal * right / depth, abs=1e-3)
    assert rows[0] == pytest.approx(288 + focal * 1.6 / depth, abs=1e-3)
    at_eye_height = np.flatnonzero(hits.surface[280] == 0)
    assert at_eye_height[0] == pytest.approx(columns[0], abs=1)
    assert at_eye_height[-1] + 1 == pytest.approx(columns[1], abs=1)
    foot = np.flatnonzero(hits.surface[:, at_eye_height[0]] == 0)[-1] + 1
    assert foot == pytest.approx(rows[0], abs=1)


def test_near_things_move_more_and_hide_far_ones():
    atlas, picture = wall_picture()
    builder = SurfaceBuilder()
    builder.add((-2.0, 8.0), (2.0, 8.0), 0.0, 3.0, picture, opaque=True)
    builder.add((-2.0, 30.0), (2.0, 30.0), 0.0, 10.0, picture, opaque=True)
    surfaces, packed, scale = builder.build(), atlas.pack(), np.ones(2, np.float32)
    edges = []
    for x in (0.0, 1.0):
        hits = cast(surfaces, scale, packed, Camera((x, 0.0), 1.6, 0.0), (120, 160))
        edges.append([np.flatnonzero((hits.surface == n).any(axis=0))[0] for n in (0, 1)])
        # The tall far wall rises above the low near one, which hides its foot.
        middle = hits.surface[:, 80 if x == 0 else 70]
        shown = [int(value) for value in dict.fromkeys(middle.tolist())]
        assert shown[1:] == [1, 0, GROUND]
    near, far = (edges[0][n] - edges[1][n] for n in (0, 1))
    focal = 80 / math.tan(math.radians(37.5))
    assert near == pytest.approx(focal / 8, abs=1)
    assert far == pytest.approx(focal / 30, abs=1)


def test_headings_are_clockwise_from_north():
    district = lay_out_district("train", TINY, 7)
    camera = Camera((0.0, 0.0), 2.0, 0.0)
    origin, ahead = (np.array(district.to_world(p)) for p in ((0.0, 0.0), (0.0, 10.0)))
    east, north = ahead - origin
    heading = district.to_world_heading(camera.heading)
    assert math.degrees(math.atan2(east, north)) % 360 == pytest.approx(heading)


def test_clear_texels_show_what_is_behind():
    atlas, solid = wall_picture()
    holes = np.zeros((100, 40, 4), dtype=np.uint8)
    bars = atlas.add(holes, 10.0)
    builder = SurfaceBuilder()
    builder.add((-2.0, 5.0), (2.0, 5.0), 0.0, 10.0, bars)
    builder.add((-9.0, 10.0), (9.0, 10.0), 0.0, 10.0, solid, opaque=True)
    camera = Camera((0.0, 0.0), 1.6, 0.0)
    hits = cast(builder.build(), np.ones(2, np.float32), atlas.pack(), camera, (60, 80))
    assert hits.surface[30, 40] == 1
    assert hits.depth[30, 40] == pytest.approx(10.0, abs=1e-3)

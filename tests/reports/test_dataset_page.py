import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netvlad.datasets import open_dataset
from netvlad.reports.dataset_figures import histogram, images_map
from netvlad.reports.dataset_page import THUMBNAILS, write_dataset_page
from netvlad.types import ImageSet, Neighbours, PlaceDataset


def bars(svg: str) -> list[int]:
    return [int(count) for count in re.findall(r"<title>[^<]*: (\d+)</title>", svg)]


def test_a_histogram_counts_every_value() -> None:
    values = np.random.default_rng(0).uniform(0, 40, 500)
    svg = histogram(np.append(values, np.nan), "m", mark=25.0, label="radius")
    edges = [float(v) for v in re.findall(r"<title>([\d.]+) to", svg)]
    expected = np.histogram(values, [*edges, np.inf])[0]
    assert bars(svg) == expected.tolist() and sum(bars(svg)) == 500
    assert "radius" in svg
    far = histogram(np.append(values, 9999.0), "m")
    assert sum(bars(far)) == 501 and "to 9999 m" in far
    assert histogram(np.array([np.nan]), "m") == ""
    assert sum(bars(histogram(np.zeros(7), "m"))) == 7


def test_no_bar_divides_whole_numbers() -> None:
    few = histogram(np.repeat([3.0, 4.0, 5.0], [2, 1, 9]), "images", whole=True)
    assert bars(few) == [0, 0, 0, 2, 1, 9] and "5 to 5 images: 9" in few
    values = np.random.default_rng(2).integers(0, 101, 3000)
    many = histogram(values.astype(float), "images", whole=True)
    edges = [float(v) for v in re.findall(r"<title>([\d.]+) to", many)]
    assert bars(many) == np.histogram(values, [*edges, np.inf])[0].tolist()


def test_the_map_is_not_shrunk_by_one_wrong_position() -> None:
    random = np.random.default_rng(1)
    database, queries = random.uniform(0, 300, (500, 2)), random.uniform(0, 300, (100, 2))
    sound = images_map(database, queries)
    database[7] = [9e6, 0]
    queries[3] = np.nan
    wrong = images_map(database, queries)
    assert sound is not None and sound.outside == 0
    assert wrong is not None and wrong.outside == 1
    assert "100 m</text>" in sound.svg and "100 m</text>" in wrong.svg
    assert images_map(np.full((3, 2), np.nan), np.zeros((0, 2))) is None
    assert images_map(np.zeros((3, 2)), np.zeros((1, 2))) is not None


def test_dots_lie_where_the_images_are() -> None:
    drawing = images_map(np.array([[0.0, 0], [100, 0], [100, 50]]), np.array([[0.0, 50]]))
    assert drawing is not None
    paths = re.findall(r'<path d="([^"]+)" class="(?:database|queries)"', drawing.svg)
    points = [[tuple(map(float, p.split())) for p in re.findall(r"M([\d. ]+)h0", d)] for d in paths]
    ((x_query, y_query),) = points[1]
    left, right = min(points[0]), max(points[0])
    assert x_query == left[0] and y_query < left[1]
    # North is up, and a metre is as long northwards as eastwards, to the dots' raster.
    assert right[0] - left[0] == pytest.approx(2 * (left[1] - y_query), abs=3)


def test_a_page(tiny_data: Path, tmp_path: Path) -> None:
    dataset = open_dataset("csv", tiny_data, "val")
    labels = {"condition": np.array(["day", "night"] * 12)}
    dataset = replace(dataset, database=replace(dataset.database, labels=labels))
    page = write_dataset_page(tmp_path / "a.html", dataset).read_text()
    assert page.count("data:image/jpeg") == 24 + 12
    assert "<td>night</td><td>12</td><td>0</td>" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "25 m" in page and "12 different positions" not in page
    assert "0 of 12 queries have none" in page
    assert write_dataset_page(tmp_path / "b.html", dataset).read_text() == page


def test_missing_images_strange_names_and_no_positions(tmp_path: Path) -> None:
    names = tuple(f"<b>{i}\udcff.jpg" for i in range(100))
    images = ImageSet(tmp_path, names)
    listed = Neighbours(np.arange(101), np.arange(100))
    dataset = PlaceDataset("made", "test", images, images, positives=listed, notes=("A & B.",))
    page = write_dataset_page(tmp_path / "a.html", dataset).read_text()
    assert page.count("the file does not exist") == THUMBNAILS
    assert "<b>" not in page and "A &amp; B." in page
    assert "Where the images were taken" not in page and "</strong> says what is correct" in page
    assert "0 of 100 queries have none" in page

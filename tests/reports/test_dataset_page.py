from dataclasses import replace
from pathlib import Path

import numpy as np

from netvlad.datasets import open_dataset
from netvlad.reports.dataset_page import THUMBNAILS, write_dataset_page
from netvlad.types import ImageSet, Neighbours, PlaceDataset


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
    names = tuple(f"<b>{i}\udcff.jpg" for i in range(250))
    images = ImageSet(tmp_path, names)
    listed = Neighbours(np.arange(251), np.arange(250))
    dataset = PlaceDataset("made", "test", images, images, positives=listed, notes=("A & B.",))
    page = write_dataset_page(tmp_path / "a.html", dataset).read_text()
    assert page.count("the file does not exist") == THUMBNAILS
    assert "<b>" not in page and "A &amp; B." in page
    assert "Where the images were taken" not in page and "</strong> says what is correct" in page
    assert "0 of 250 queries have none" in page

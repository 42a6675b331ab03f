"""Which queries show one place."""

from pathlib import Path

import numpy as np
import pytest

from netvlad.errors import DataError, SettingsError
from netvlad.evaluation.intervals import places_of
from netvlad.types import ImageSet


def images(positions=None, **labels):
    count = 6 if positions is None else len(positions)
    return ImageSet(Path(), tuple(map(str, range(count))), positions, labels=labels)


def test_cells_of_a_grid():
    random = np.random.default_rng(0)
    positions = random.uniform(-200, 200, (300, 2))
    places = places_of(images(positions), cell_m=30)
    for i in range(300):
        same = [(positions[j] // 30 == positions[i] // 30).all() for j in range(300)]
        np.testing.assert_array_equal(places == places[i], same)
    assert set(places) == set(range(places.max() + 1))


def test_a_street_is_not_one_place():
    street = np.column_stack([np.arange(0, 1000, 5.0), np.zeros(200)])
    assert len(set(places_of(images(street)))) == 40


def test_images_of_unknown_position_are_a_place_each():
    positions = np.array([[0, 0], [np.nan, 0], [1, 1], [np.nan, 0]])
    places = places_of(images(positions))
    assert places[0] == places[2] and len(set(places)) == 3
    assert len(set(places_of(images()))) == 6


def test_labels():
    spots = np.array(["a", "b", "a", "", "", "b"])
    places = places_of(images(spot=spots), label="spot")
    assert places[0] == places[2] and places[1] == places[5] and len(set(places)) == 4
    with pytest.raises(DataError, match=r"no label place .*labels: spot"):
        places_of(images(spot=spots), label="place")
    with pytest.raises(SettingsError, match="cell_m is 0"):
        places_of(images(), cell_m=0)

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from netvlad.geography import to_utm
from netvlad.index.utm_named import read_utm_named, stamp_to_seconds


def test_names_with_and_without_a_zone():
    (easting, northing), *_ = to_utm([52.2], [0.12], "31N")[0]
    start = f"@{easting:.3f}@{northing:.3f}"
    files = [
        Path("a/plain.jpg"),
        Path(f"a/{start}@31@U@@@@@-90@@@@201307@@.jpg"),
        Path(f"a/{start}@.jpg"),
        Path(f"b/{start}@56@H@.jpg"),
    ]
    named = read_utm_named(files)
    assert named.rows.tolist() == [1, 2, 3]
    assert named.without_zone.tolist() == [2]
    assert np.isnan(named.degrees[1]).all()
    np.testing.assert_allclose(named.degrees[0], [52.2, 0.12], atol=1e-7)
    assert named.degrees[2, 0] < -30  # the same metres, south of the equator
    np.testing.assert_array_equal(named.heading, [270, np.nan, np.nan])
    assert named.time[0] == datetime(2013, 7, 1, tzinfo=UTC).timestamp()
    told = read_utm_named(files, "31N")
    np.testing.assert_allclose(told.degrees[1], [52.2, 0.12], atol=1e-7)
    assert told.without_zone.tolist() == []


def test_no_such_names():
    named = read_utm_named([Path("a.jpg")])
    assert len(named.rows) == len(named.degrees) == len(named.without_zone) == 0


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        (201307, datetime(2013, 7, 1)),
        (20130731, datetime(2013, 7, 31)),
        (201307311259, datetime(2013, 7, 31, 12, 59)),
        (float("20130731_125958"), datetime(2013, 7, 31, 12, 59, 58)),
        (1375275598.5, datetime(2013, 7, 31, 12, 59, 58, 500_000)),
    ],
)
def test_time_stamps(stamp, moment):
    assert stamp_to_seconds(stamp) == moment.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("stamp", [math.nan, 7, 201313, 20130231, 100512, 1375275598000, 1e20, -1])
def test_numbers_that_are_no_time(stamp):
    assert math.isnan(stamp_to_seconds(stamp))

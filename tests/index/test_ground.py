import numpy as np
from pyproj import Geod

from netvlad.geography import to_utm
from netvlad.index.position import metres_around


def test_near_the_centre_of_a_zone_metres_are_those_of_utm():
    latitude, longitude = np.array([52.2, 52.2005, 52.199]), np.array([3.0, 3.0007, 2.9990])
    utm, _ = to_utm(latitude, longitude, "31N")
    metres = metres_around(latitude, longitude, (52.2, 3.0))
    # UTM shortens lengths on its central meridian by 0.04 %.
    np.testing.assert_allclose(metres, (utm - utm[0]) / 0.9996, atol=0.01)


def test_across_the_date_line_and_unknown_positions():
    metres = metres_around([10.0, 10.0, np.nan], [-179.999, 179.999, 1.0], (10.0, 179.999))
    _, _, expected = Geod(ellps="WGS84").inv(179.999, 10.0, -179.999, 10.0)
    assert abs(metres[0, 0] - expected) < 0.01 and abs(metres[0, 1]) < 0.1
    assert (metres[1] == 0).all() and np.isnan(metres[2]).all()

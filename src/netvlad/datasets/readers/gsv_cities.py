"""GSV-Cities (Ali-bey et al. 2022): places of 23 cities, each seen in several years."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.city_positions import shifted
from netvlad.datasets.readers.csv_columns import Columns, read_columns
from netvlad.datasets.readers.listed_truth import neighbours_of_one_place
from netvlad.errors import DataError, SettingsError
from netvlad.geography import to_utm
from netvlad.types import ImageSet, PlaceDataset

LAYOUT = (
    "Dataframes/<City>.csv and "
    "Images/<City>/<City>_<place>_<year>_<month>_<heading>_<latitude>_<longitude>_<panorama>.jpg"
)

_COLUMNS = dict.fromkeys(
    ("place_id", "year", "month", "northdeg", "city_id", "lat", "lon", "panoid"), True
)


@dataclass(frozen=True, eq=False)
class _City:
    """The images of one city in the order of its table; arrays are (N,), positions (N, 2)."""

    name: str
    names: list[str]
    positions: NDArray[np.float64]
    zone: str
    headings: NDArray[np.float64]
    times: NDArray[np.float64]
    places: NDArray[np.int64]
    panoramas: NDArray[np.str_]


def read_gsv_cities(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open the images of all cities, or of one, as ``train:Bangkok``.

    What belongs together is told by places, not by metres: the labels ``place`` (city and number)
    and ``city`` say which images show the same one. Of each place the first image in its table is
    the query and all others are in the database, and these are its positives; a place of a single
    image is a query without positives. Whoever trains on places rather than on queries takes both
    sets together. The other labels are ``panorama``; ``times`` are months since the year 0.

    With several cities, eastings are moved by 10,000 km times the city's number, in alphabetical
    order, so that images of different cities are never near each other. A single city keeps its
    eastings and tells its UTM zone.

    Args:
        root: the folder that holds ``Dataframes/`` and ``Images/``.
        split: ``train``, or ``train:`` and a city.
        utm_zone: the zone to project a single city to; None takes that of its median point.

    Raises:
        DataError: there is no table, or one of them makes no sense.
        SettingsError: the split has no such city, ``utm_zone`` is not a zone, or is given for
            several cities.
    """
    folder = root / "Dataframes"
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        raise DataError(f"{folder / '<City>.csv'}: no such file; expected {LAYOUT}")
    _, colon, wanted = split.partition(":")
    if colon:
        if wanted not in [table.stem for table in tables]:
            raise SettingsError(
                f"gsv-cities has no city {wanted!r} here; choose from "
                f"{', '.join(table.stem for table in tables)}"
            )
        tables = [table for table in tables if table.stem == wanted]
    elif utm_zone:
        raise SettingsError(
            f"utm_zone is {utm_zone} but {split} has cities in several zones; leave it out"
        )
    cities = [_read_city(table, utm_zone) for table in tables]
    return _dataset(root, split, cities, several=not colon)


def _read_city(path: Path, utm_zone: str | None) -> _City:
    table = read_columns(path, _COLUMNS)
    if not len(table):
        raise DataError(f"{path}: has no rows")
    try:
        positions, zone = to_utm(table.numbers("lat"), table.numbers("lon"), utm_zone)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return _City(
        name=path.stem,
        names=_names(table),
        positions=positions,
        zone=zone,
        headings=table.numbers("northdeg"),
        times=12 * table.numbers("year") + table.numbers("month") - 1,
        places=_whole(table, "place_id"),
        panoramas=table.words("panoid"),
    )


def _whole(table: Columns, name: str) -> NDArray[np.int64]:
    numbers = table.numbers(name)
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.floor(numbers))))
    if len(wrong):
        raise DataError(
            f"{table.path}: row {wrong[0] + 1}: {name} is {table.texts(name)[wrong[0]]!r}; "
            "expected a whole number"
        )
    return numbers.astype(np.int64)


def _names(table: Columns) -> list[str]:
    """The files' names, which repeat the columns of the table.

    Latitude and longitude are written as the shortest decimal number, however the table does it.
    """
    whole = {name: _whole(table, name) for name in ("place_id", "year", "month", "northdeg")}
    columns = (
        table.texts("city_id"),
        *(whole[name].tolist() for name in ("place_id", "year", "month", "northdeg")),
        table.numbers("lat").tolist(),
        table.numbers("lon").tolist(),
        table.texts("panoid"),
    )
    names = [
        f"Images/{city}/{city}_{place:07}_{year:04}_{month:02}_{heading:03}_{lat}_{lon}_{pano}.jpg"
        for city, place, year, month, heading, lat, lon, pano in zip(*columns, strict=True)
    ]
    for city in set(columns[0]):
        if PurePosixPath(city).parts != (city,) or city == "..":
            raise DataError(f"{table.path}: city_id {city!r} cannot be the name of a folder")
    return names


def _dataset(root: Path, split: str, cities: Sequence[_City], *, several: bool) -> PlaceDataset:
    names = [name for city in cities for name in city.names]
    sizes = [len(city.names) for city in cities]
    of_city = np.repeat(np.arange(len(cities)), sizes)
    places = np.concatenate([city.places for city in cities])
    positions = np.concatenate(
        [shifted(city.positions, i) if several else city.positions for i, city in enumerate(cities)]
    )
    labels = {
        "city": np.repeat(np.array([city.name for city in cities]), sizes),
        "place": np.concatenate([_place_names(city.name, city.places) for city in cities]),
        "panorama": np.concatenate([city.panoramas for city in cities]),
    }
    images = ImageSet(
        root,
        tuple(names),
        positions,
        np.concatenate([city.headings for city in cities]),
        np.concatenate([city.times for city in cities]),
        None if several else cities[0].zone,
        labels,
    )
    # The first image of each place, in the order of the tables.
    within = np.unique(places, return_inverse=True)[1]
    keys = of_city * (within.max() + 1) + within
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    is_query = np.zeros(len(names), dtype=np.bool_)
    is_query[first] = True
    queries, database = np.flatnonzero(is_query), np.flatnonzero(~is_query)
    if not len(database):
        raise DataError(f"{root}: every place has one image only; there is nothing to learn from")
    return PlaceDataset(
        name="gsv-cities",
        split=split,
        database=images.subset(database),
        queries=images.subset(queries),
        positives=neighbours_of_one_place(numbers[queries], numbers[database]),
        notes=_note_on_lonely(len(queries), numbers[database]),
    )


def _place_names(city: str, places: NDArray[np.int64]) -> NDArray[np.str_]:
    unique, inverse = np.unique(places, return_inverse=True)
    return np.array([f"{city}/{place}" for place in unique.tolist()])[inverse]


def _note_on_lonely(num_places: int, of_database: NDArray[np.int64]) -> tuple[str, ...]:
    lonely = num_places - len(np.unique(of_database))
    return (f"{lonely} of {num_places} places have one image only.",) if lonely else ()

"""GSV-Cities (Ali-bey et al. 2022): places of 23 cities, each seen in several years."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from netvlad.datasets.readers.cities import joined, refuse_zone, shifted
from netvlad.datasets.readers.listed_truth import neighbours_of_one_place
from netvlad.datasets.readers.names import telling
from netvlad.datasets.readers.tables import Columns, read_columns
from netvlad.datasets.record import DatasetRecord
from netvlad.errors import DataError, SettingsError
from netvlad.geography import to_utm
from netvlad.types import ImageSet, PlaceDataset

_COLUMNS = dict.fromkeys(
    ("place_id", "year", "month", "northdeg", "city_id", "lat", "lon", "panoid"), True
)


def read_gsv_cities(
    record: DatasetRecord, root: Path, split: str, utm_zone: str | None
) -> PlaceDataset:
    """Open the images of all cities, or of one, as ``train:Bangkok``.

    What belongs together is told by places, not by metres: the labels ``place`` (city and number)
    and ``city`` say which images show the same one. Of each place the first image in its table is
    the query and all others are in the database, and these are its positives; a place of a single
    image is a query without positives. Whoever trains on places rather than on queries takes both
    sets together. The other labels are ``panorama``; ``times`` are months since the year 0.

    With several cities, eastings are moved by 10,000 km times the city's number, in alphabetical
    order, so that images of different cities are never near each other. A single city keeps its
    eastings and tells its UTM zone: ``utm_zone``, or that of its median point.

    Raises:
        DataError: there is no table, or one of them makes no sense.
        SettingsError: the split has no such city, ``utm_zone`` is not a zone, or is given for
            several cities.
    """
    folder = root / "Dataframes"
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        raise record.error(folder / "<City>.csv", "no such file")
    _, colon, wanted = split.partition(":")
    if colon:
        known = [table.stem for table in tables]
        if wanted not in known:
            remedy = f"choose from {', '.join(known)}"
            raise SettingsError(f"gsv-cities has no city {wanted!r} here; {remedy}")
        tables = [folder / f"{wanted}.csv"]
    else:
        refuse_zone(utm_zone, split)
    cities = [_read_city(root, table, utm_zone) for table in tables]
    if not colon:
        cities = [
            replace(city, positions=shifted(city.positions, i), utm_zone=None)
            for i, city in enumerate(cities)
            if city.positions is not None
        ]
    images = joined(cities)
    # The first image of each place, in the order of the tables.
    _, first, places = np.unique(images.labels["place"], return_index=True, return_inverse=True)
    queries, database = np.sort(first), np.delete(np.arange(len(images)), first)
    if not len(database):
        raise DataError(f"{root}: every place has one image only; there is nothing to learn from")
    lonely = len(queries) - len(np.unique(places[database]))
    return PlaceDataset(
        record.name,
        split,
        images.subset(database),
        images.subset(queries),
        positives=neighbours_of_one_place(places[queries], places[database]),
        notes=(f"{lonely} of {len(queries)} places have one image only.",) if lonely else (),
    )


def _read_city(root: Path, path: Path, utm_zone: str | None) -> ImageSet:
    """The images of one city in the order of its table."""
    table = read_columns(path, _COLUMNS)
    if not len(table):
        raise DataError(f"{path}: has no rows")
    with telling(path):
        positions, zone = to_utm(table.numbers("lat"), table.numbers("lon"), utm_zone)
    places, inverse = np.unique(_whole(table, "place_id"), return_inverse=True)
    labels = {
        "city": np.full(len(table), path.stem),
        "place": np.array([f"{path.stem}/{place}" for place in places.tolist()])[inverse],
        "panorama": table.words("panoid"),
    }
    times = 12 * table.numbers("year") + table.numbers("month") - 1
    headings = table.numbers("northdeg")
    return ImageSet(root, _names(table), positions, headings, times, zone, labels)


def _whole(table: Columns, name: str) -> NDArray[np.int64]:
    numbers = table.numbers(name)
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.floor(numbers))))
    if len(wrong):
        told = f"{name} is {table.texts(name)[wrong[0]]!r}; expected a whole number"
        raise DataError(f"{table.path}: row {wrong[0] + 1}: {told}")
    return numbers.astype(np.int64)


def _names(table: Columns) -> tuple[str, ...]:
    """The files' names, which repeat the columns of the table.

    Latitude and longitude are written as the shortest decimal number, however the table does it.
    """
    columns = (
        table.texts("city_id"),
        *(_whole(table, name).tolist() for name in ("place_id", "year", "month", "northdeg")),
        *(table.numbers(name).tolist() for name in ("lat", "lon")),
        table.texts("panoid"),
    )
    names = [
        f"Images/{city}/{city}_{place:07}_{year:04}_{month:02}_{heading:03}_{lat}_{lon}_{pano}.jpg"
        for city, place, year, month, heading, lat, lon, pano in zip(*columns, strict=True)
    ]
    for city in set(columns[0]):
        if PurePosixPath(city).parts != (city,) or city == "..":
            raise DataError(f"{table.path}: city_id {city!r} cannot be the name of a folder")
    return tuple(names)

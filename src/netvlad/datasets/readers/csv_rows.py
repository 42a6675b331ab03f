"""Tables as people's programs write them: commas, semicolons or tabs, with or without a BOM."""

import csv
from collections.abc import Collection
from pathlib import Path

from netvlad.errors import DataError

OTHER_NAMES = {
    "image": ("filename", "file_name", "file", "image_name", "image_path", "path", "name"),
    "latitude": ("lat", "gpslatitude", "gps_latitude"),
    "longitude": ("lon", "lng", "long", "gpslongitude", "gps_longitude"),
    "easting": ("utm_east", "utm_easting"),
    "northing": ("utm_north", "utm_northing"),
    "zone": ("utm_zone",),
    "altitude": ("alt", "elevation"),
    "heading": ("bearing", "yaw", "compass"),
    "time": ("timestamp", "datetime", "date_time"),
}
"""What people's programs call a column: the first that is there is taken where our name is not."""


def usual_names(header: list[str], known: Collection[str]) -> list[str]:
    """A table's columns (in lower case) by the names in ``known``, where they have others.

    >>> usual_names(["file", "lat", "lng", "name"], ["image", "latitude", "longitude"])
    ['image', 'latitude', 'longitude', 'name']
    """
    renamed = list(header)
    for name in known:
        if name not in header:
            other = next((o for o in OTHER_NAMES.get(name, ()) if header.count(o) == 1), None)
            if other is not None:
                renamed[header.index(other)] = name
    return renamed


def read_rows(
    path: Path, known: Collection[str]
) -> tuple[list[str], list[tuple[int, dict[str, str]]], str]:
    """Read a table with a header.

    Args:
        path: a UTF-8 file.
        known: the columns that matter; the delimiter that finds most of them is taken.

    Returns:
        the header in lower case and by :func:`usual_names`, the rows as (line number, column ->
        text without surrounding blanks), and the delimiter. Empty rows are left out, and missing
        cells at a row's end.

    Raises:
        DataError: the file cannot be read, has no header, names a known column twice, or has a row
            longer than its header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(
                ",;\t", key=lambda mark: len(set(known) & set(_header(first, mark, known)))
            )
            header = _header(first, delimiter, known)
            _check_header(path, header, known)
            reader = csv.reader(file, delimiter=delimiter)
            # The header was line 1; a quoted cell may span several lines.
            numbered = [(reader.line_num + 1, cells) for cells in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise DataError(f"{path}: is not a table ({error})") from error
    return header, _rows(path, numbered, header), delimiter


def _header(line: str, delimiter: str, known: Collection[str]) -> list[str]:
    names = next(csv.reader([line], delimiter=delimiter), [])
    return usual_names([name.strip().lower() for name in names], known)


def _check_header(path: Path, header: list[str], known: Collection[str]) -> None:
    if not any(header):
        raise DataError(f"{path}: is empty; its first line must name the columns")
    for name in known:
        if header.count(name) > 1:
            raise DataError(f"{path}: has two columns called {name}")


def _rows(
    path: Path, numbered: list[tuple[int, list[str]]], header: list[str]
) -> list[tuple[int, dict[str, str]]]:
    rows = []
    for line, cells in numbered:
        texts = [cell.strip() for cell in cells]
        if not any(texts):
            continue
        # An unquoted comma in a number or a name would shift every later cell.
        if any(texts[len(header) :]):
            raise DataError(
                f"{path}, line {line}: has {len(texts)} cells but the header has {len(header)}"
            )
        rows.append((line, dict(zip(header, texts, strict=False))))
    return rows

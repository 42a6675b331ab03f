"""Tables as people's programs write them: commas, semicolons or tabs, with or without a BOM."""

import csv
from collections.abc import Collection
from pathlib import Path

from netvlad.errors import DataError


def read_rows(
    path: Path, known: Collection[str]
) -> tuple[list[str], list[tuple[int, dict[str, str]]], str]:
    """Read a table with a header.

    Args:
        path: a UTF-8 file.
        known: the columns that matter; the delimiter that finds most of them is taken.

    Returns:
        the header in lower case, the rows as (line number, column -> text without surrounding
        blanks), and the delimiter. Empty rows are left out, and missing cells at a row's end.

    Raises:
        DataError: the file cannot be read, has no header, names a known column twice, or has a row
            longer than its header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(",;\t", key=lambda mark: len(set(known) & set(_header(first, mark))))
            header = _header(first, delimiter)
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


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]


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

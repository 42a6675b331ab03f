"""Lists of one thing a line."""

from pathlib import Path

from netvlad.errors import DataError


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without surrounding blanks; empty ones and comments are left out.

    A comment begins with ``#``.

    Raises:
        DataError: the file cannot be read, or has no lines.
    """
    lines = [line for _, line in read_numbered_lines(path)]
    if not lines:
        raise DataError(f"{path}: is empty; expected one image a line")
    return lines


def read_numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Like :func:`read_lines` with the number of each line, from 1; there may be none.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    numbered = [(i, line.strip()) for i, line in enumerate(text.split("\n"), start=1)]
    return [(i, line) for i, line in numbered if line and not line.startswith("#")]

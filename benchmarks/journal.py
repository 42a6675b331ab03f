"""What of a long work is done already, and how long each part took: it outlives the process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from netvlad.storage import read_json, write_json


class Journal:
    """Parts that were finished, in a JSON file that is written after each.

    Attributes:
        path: the file.
        parts: name -> what is known of the part, its ``seconds`` at least.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, dict[str, Any]] = read_json(path) if path.is_file() else {}

    def add(self, name: str, **known: Any) -> None:
        """Note that a part is finished."""
        self.parts[name] = known
        write_json(self.path, self.parts)

    def total(self, field: str, of: Callable[[str], bool] = lambda name: True) -> float:
        """The sum of a field over the parts that have it and whose name passes ``of``."""
        return float(sum(known.get(field, 0.0) for name, known in self.parts.items() if of(name)))

"""JSON on stdout, alone."""

import json
from typing import Any


def show_json(content: Any) -> None:
    """Print ``content`` as indented JSON; NaN becomes an error rather than something unreadable."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))

"""Templates to files: one self-contained page, nothing fetched from anywhere."""

import base64
import gzip
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from netvlad.reports.plots import MAP_COLOURS
from netvlad.storage import written_beside


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill ``templates/<template>`` and write it to ``path``; text is escaped.

    A page with a plot holds plotly.js, packed (2 MB).

    Raises:
        StorageError: it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("netvlad.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"plotly": _plotly, "map_colours": MAP_COLOURS}
    text = environment.get_template(template).render(**values)
    with written_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@cache
def _plotly() -> Markup:
    """plotly.js as the package brings it; every browser since 2023 unpacks gzip."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return Markup(base64.b64encode(gzip.compress(script, mtime=0)).decode())

"""Templates to files: one self-contained page, nothing fetched from anywhere."""

from pathlib import Path
from typing import Any

import jinja2

from netvlad.storage import written_beside


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill ``templates/<template>`` and write it to ``path``; text is escaped, SVG must be marked.

    Raises:
        StorageError: it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("netvlad.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template(template).render(**values)
    with written_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path

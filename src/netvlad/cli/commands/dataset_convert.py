"""``netvlad datasets convert`` and ``show``: a split in another layout, or as a page."""

from pathlib import Path

from netvlad.cli.console import reporting, show
from netvlad.cli.dataset_flags import WhereFlags
from netvlad.datasets import open_dataset
from netvlad.datasets.converting import Layout, convert_dataset
from netvlad.reports.dataset_page import write_dataset_page
from netvlad.types import counted


def convert(
    name: str,
    /,
    *,
    where: WhereFlags,
    split: str,
    to: Layout,
    output: Path,
    copy: bool = False,
) -> None:
    """Write a split in another layout.

    ```
    netvlad datasets convert pitts30k --data-dir data/p --split val \\
        --to utm-names --output out
    ```

    Args:
        name: The data set.
        split: The split.
        to: utm-names: links to the images, named by their positions; csv: a table; mat: a dbStruct
            as Pittsburgh's.
        output: The folder to write into.
        copy: Copy images instead of linking to them.
    """
    dataset = open_dataset(name, where.data_dir, split, utm_zone=where.utm_zone)
    with reporting() as report:
        made = convert_dataset(dataset, to, output, copy=copy, report=report)
    show(
        f"{made}: {counted(len(dataset.database), 'database images')} and "
        f"{counted(len(dataset.queries), 'queries')}"
    )


def show_dataset(name: str, /, *, where: WhereFlags, split: str, output: Path) -> None:
    """Write a page that shows a split: a map, contact sheets, distances between neighbours.

    ```
    netvlad datasets show csv --data-dir data/mine --split test --output test.html
    ```

    Args:
        name: The data set.
        split: The split.
        output: The page.
    """
    dataset = open_dataset(name, where.data_dir, split, utm_zone=where.utm_zone)
    with reporting() as report:
        page = write_dataset_page(output, dataset, report=report)
    show(f"Look at {page}")

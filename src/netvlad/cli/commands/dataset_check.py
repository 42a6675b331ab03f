"""``netvlad datasets check`` and ``get``: whether a data set is sound, and fetching one."""

import sys
from pathlib import Path

from netvlad.cli.console import reporting, show
from netvlad.cli.dataset_flags import WhereFlags
from netvlad.cli.dataset_tables import (
    by_hand_lines,
    checkup_figures,
    checkup_table,
    example_lines,
    verdict,
)
from netvlad.cli.json_output import show_json
from netvlad.datasets.checking import check_dataset
from netvlad.datasets.findings import Checkup
from netvlad.datasets.getting import get_dataset


def check(
    name: str,
    /,
    *,
    where: WhereFlags,
    split: str | None = None,
    fast: bool = False,
    threads: int = 8,
    json: bool = False,
) -> None:
    """Check a data set; exits with 1 when anything is wrong.

    ```
    netvlad datasets check pitts30k --data-dir data/pittsburgh
    ```

    Looks whether every image is there and can be decoded, whether positions are such as photos can
    have, whether a picture or a place is in two splits, and whether a query is in its own database.

    Args:
        name: The data set.
        split: Check this split alone [default: all that are there, and compare them].
        fast: Read the headers of images only. Truncated images go unnoticed.
        threads: Threads that read images.
        json: Print JSON.
    """
    with reporting() as report:
        checkup = check_dataset(
            name,
            where.data_dir,
            split=split,
            utm_zone=where.utm_zone,
            fast=fast,
            threads=threads,
            report=report,
        )
    _tell(checkup, where.data_dir, json)


def get(
    name: str,
    /,
    *,
    data_dir: Path,
    keep_archives: bool = False,
) -> None:
    """Fetch a data set as far as it is open, verify it, and unpack it; say what is left to do.

    ```
    netvlad datasets get pitts30k --data-dir data/pittsburgh
    ```

    Repeated, it resumes where it stopped. When nothing is left to be done by hand the data set is
    checked, as by `netvlad datasets check --fast`.

    Args:
        name: The data set.
        data_dir: The folder to put it into; made if need be.
        keep_archives: Leave archives there after unpacking.
    """
    with reporting() as report:
        got = get_dataset(name, data_dir, keep_archives=keep_archives, report=report)
    for file in got.fetched:
        show(f"{file}: fetched")
    for file in got.had:
        show(f"{file}: was fetched before")
    if got.by_hand:
        show(f"{name}: the rest is not open to programs; by hand:")
        for line in by_hand_lines(got.by_hand):
            show(line)
        show(f"then: netvlad datasets check {name} --data-dir {data_dir}")
        return
    with reporting() as report:
        checkup = check_dataset(name, data_dir, fast=True, report=report)
    _tell(checkup, data_dir, json=False)


def _tell(checkup: Checkup, data_dir: Path, json: bool) -> None:
    if json:
        show_json(checkup_figures(checkup, data_dir))
    else:
        if checkup.findings:
            show(checkup_table(checkup))
        for line in example_lines(checkup):
            show(line)
        if checkup.is_sound:
            show(verdict(checkup))
    if not checkup.is_sound:
        print(f"netvlad: {verdict(checkup)}", file=sys.stderr)
        sys.exit(1)

"""``netvlad datasets list`` and ``info``: what can be opened by name."""

from netvlad.cli.console import show
from netvlad.cli.dataset_tables import list_figures, list_table, record_figures, record_lines
from netvlad.cli.json_output import show_json
from netvlad.datasets import DATASETS, DatasetRecord
from netvlad.errors import SettingsError


def list_datasets(*, json: bool = False) -> None:
    """List the data sets that can be opened by name.

    Args:
        json: Print JSON.
    """
    if json:
        show_json(list_figures())
    else:
        show(list_table())


def info(name: str, /, *, json: bool = False) -> None:
    """Say all that is known about a data set: splits, counts, licence, how its files should lie.

    ```
    netvlad datasets info pitts30k
    ```

    Args:
        name: The data set.
        json: Print JSON.
    """
    record = _record(name)
    if json:
        show_json(record_figures(record))
        return
    for line in record_lines(record):
        show(line)


def _record(name: str) -> DatasetRecord:
    if name not in DATASETS:
        raise SettingsError(
            f"there is no data set called {name}; choose from {', '.join(DATASETS)}"
        )
    return DATASETS[name]

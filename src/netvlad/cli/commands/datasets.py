"""``netvlad datasets``: what there is, whether it is sound, and making one of one's own photos."""

import cyclopts

from netvlad.cli.commands.dataset_check import check, get
from netvlad.cli.commands.dataset_convert import convert, show_dataset
from netvlad.cli.commands.dataset_frames import frames
from netvlad.cli.commands.dataset_list import info, list_datasets
from netvlad.cli.commands.dataset_split import split_photos

datasets = cyclopts.App(
    name="datasets",
    help="""List data sets, fetch, check, convert and show them.

    A data set is opened by its name and the folder it lies in. Your own photos become one, too:

    ```
    netvlad datasets split photos/ --output data/mine
    netvlad datasets check csv --data-dir data/mine
    ```""",
)

datasets.command(frames)
datasets.command(list_datasets, name="list")
datasets.command(info)
datasets.command(check)
datasets.command(split_photos, name="split")
datasets.command(convert)
datasets.command(get)
datasets.command(show_dataset, name="show")

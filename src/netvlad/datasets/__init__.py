"""Data sets: opening them by name."""

from typing import TYPE_CHECKING

from netvlad.lazy import offered

if TYPE_CHECKING:
    from netvlad.datasets.registry import DATASETS, DatasetRecord, open_dataset

__all__ = ["DATASETS", "DatasetRecord", "open_dataset"]

__getattr__, __dir__ = offered(
    __name__,
    {
        "netvlad.datasets.registry": (
            "DATASETS",
            "DatasetRecord",
            "open_dataset",
        ),
    },
)

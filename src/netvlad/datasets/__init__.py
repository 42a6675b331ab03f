"""Data sets: opening them by name."""

from netvlad.datasets.registry import DATASETS, DatasetRecord, open_dataset

__all__ = ["DATASETS", "DatasetRecord", "open_dataset"]

"""What is learned without gradients."""

from typing import TYPE_CHECKING

from netvlad.lazy import offered

if TYPE_CHECKING:
    from netvlad.fitting.clustering import (
        Clusters,
        compute_clusters,
        initialise,
        read_clusters,
        write_clusters,
    )

__all__ = ["Clusters", "compute_clusters", "initialise", "read_clusters", "write_clusters"]

__getattr__, __dir__ = offered(
    __name__,
    {
        "netvlad.fitting.clustering": (
            "Clusters",
            "compute_clusters",
            "initialise",
            "read_clusters",
            "write_clusters",
        ),
    },
)

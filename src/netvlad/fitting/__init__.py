"""What is learned without gradients."""

from netvlad.fitting.clustering import (
    Clusters,
    compute_clusters,
    initialise,
    read_clusters,
    write_clusters,
)

__all__ = ["Clusters", "compute_clusters", "initialise", "read_clusters", "write_clusters"]

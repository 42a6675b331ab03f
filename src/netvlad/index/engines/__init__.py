"""Engines: who describes the photos of an index when one machine is not enough."""

from netvlad.index.engines.cluster import RayCluster

__all__ = ["RayCluster"]

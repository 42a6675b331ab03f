"""From descriptors to the nearest database images."""

from netvlad.search.exact import search_exact

__all__ = ["search_exact"]

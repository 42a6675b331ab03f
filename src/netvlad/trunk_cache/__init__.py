"""The frozen trunk's output of every image of a set, on disk, so that it is computed once."""

from netvlad.trunk_cache.store import (
    CacheEntry,
    TrunkCache,
    cache_entries,
    clear_cache,
    open_trunk_cache,
)

__all__ = ["CacheEntry", "TrunkCache", "cache_entries", "clear_cache", "open_trunk_cache"]

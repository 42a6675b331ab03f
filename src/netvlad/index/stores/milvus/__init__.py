"""An index in a collection of Milvus: what ``netvlad.index.address`` finds by an address."""

from netvlad.index.stores.milvus.building import build_in_milvus
from netvlad.index.stores.milvus.client import milvus_address
from netvlad.index.stores.milvus.store import MilvusStore

__all__ = ["build", "open_store", "parse"]

parse = milvus_address
build = build_in_milvus
open_store = MilvusStore.open

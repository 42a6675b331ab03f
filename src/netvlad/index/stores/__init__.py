"""Where an index keeps its places and their descriptors."""

from netvlad.index.stores.folder import FolderStore
from netvlad.index.stores.verifying import Verification, verify
from netvlad.index.stores.writer import IndexWriter, writing

__all__ = ["FolderStore", "IndexWriter", "Verification", "verify", "writing"]

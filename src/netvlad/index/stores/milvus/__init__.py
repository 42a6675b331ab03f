"""An index in a collection of Milvus."""

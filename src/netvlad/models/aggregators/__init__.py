"""Aggregators: a map of local features goes in, one descriptor of unit length comes out."""

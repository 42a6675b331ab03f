"""The demo: a town drawn by ray casting, and the whole way from clustering to recall@N on it."""

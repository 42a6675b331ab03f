"""Our way against the original's way, in one run on the same data: ``python -m benchmarks``."""

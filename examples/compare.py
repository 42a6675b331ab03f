"""Which model is better on my streets? ``python compare.py DATA``: a folder with val.csv."""

import sys

import netvlad

dataset = netvlad.open_dataset("csv", sys.argv[1], "val")
models = {name: netvlad.load_model(f"efficientnet-lite0-{name}") for name in ("avg", "gem", "max")}
comparison = netvlad.compare(models, dataset)
print(comparison)

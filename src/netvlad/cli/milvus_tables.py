"""What ``netvlad index`` prints about an index in Milvus."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.table import Table

from netvlad.index.building import Change
from netvlad.index.stores.milvus import MilvusStore


def milvus_change_lines(store: MilvusStore, change: Change) -> Iterator[str]:
    """What a build or an addition did, and what the index holds now."""
    done = [f"added {change.added}"]
    for count, what in (
        (change.replaced, "described again because the file has changed"),
        (change.unchanged, "there already"),
        (change.updated, "with other positions, headings, times or tags than before"),
        (len(change.skipped), "skipped because they cannot be used"),
    ):
        if count:
            done.append(f"{count} {what}")
    described = change.added + change.replaced
    if described and change.seconds > 0:
        done.append(f"{described / change.seconds:.1f} photos/s")
    yield f"{store.address}: " + ", ".join(done)
    # Not how many have a position: that would read every place over the network.
    yield (f"{store.address}: {len(store)} places; {store.dim} dimensions in {store.storage} bits")


def milvus_info_figures(store: MilvusStore) -> dict[str, Any]:
    """The figures of ``netvlad index info``, as JSON types; reads all places."""
    places = store.places
    located = places.has_position
    figures: dict[str, Any] = {
        "places": len(places),
        "with_position": int(located.sum()),
        "with_heading": int(np.isfinite(places.heading).sum()),
        "with_time": int(np.isfinite(places.time).sum()),
        "bounding_box": None,
        "times": None,
        "model": store.model_spec().to_json(),
        "model_fingerprint": store.model_fingerprint,
        "dim": store.dim,
        "storage": store.storage,
        "search": "milvus",
        "calibrated": "calibration" in store.documents,
        "created": store.created,
    }
    if located.any():
        latitude, longitude = places.latitude[located], places.longitude[located]
        figures["bounding_box"] = [
            round(float(value), 6)
            for value in (latitude.min(), longitude.min(), latitude.max(), longitude.max())
        ]
    if figures["with_time"]:
        figures["times"] = [float(np.nanmin(places.time)), float(np.nanmax(places.time))]
    return figures


def milvus_info_table(store: MilvusStore) -> Table:
    """The figures of ``netvlad index info``, for people."""
    figures = milvus_info_figures(store)
    model = figures["model"]
    rows = {
        "places": f"{figures['places']}",
        "with a position": f"{figures['with_position']}",
        "with a heading": f"{figures['with_heading']}",
        "with a time": f"{figures['with_time']}",
        "model": f"{model['arch']}, {model['pooling']}",
        "fingerprint": figures["model_fingerprint"],
        "descriptors": f"{figures['dim']} dimensions in {figures['storage']} bits",
        "search": "in Milvus",
        "probabilities": "fitted to this index" if figures["calibrated"] else "by default",
        "made": figures["created"],
    }
    if figures["bounding_box"]:
        south, west, north, east = figures["bounding_box"]
        rows["south, west"] = f"{south}, {west}"
        rows["north, east"] = f"{north}, {east}"
    table = Table(title=f"{store.address}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column()
    for name, text in rows.items():
        table.add_row(name, text)
    return table

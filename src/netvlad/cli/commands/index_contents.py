"""``netvlad index info`` and ``remove``: what is in an index, and taking photos out of it."""

from netvlad.cli.console import show
from netvlad.cli.index_tables import info_table, place_lines
from netvlad.cli.json_output import show_json
from netvlad.errors import SettingsError
from netvlad.index.place_index import PlaceIndex
from netvlad.types import counted


def remove(
    photos: list[str] | None = None,
    /,
    *,
    index: str,
    missing: bool = False,
) -> None:
    """Remove photos from an index; the files themselves are not touched.

    ```
    netvlad index remove photos/2019 photos/blurred.jpg --index my.index
    ```

    Args:
        photos: Files, folders (all photos below), or names as `netvlad index info --places` lists
            them.
        index: The index folder, or milvus://HOST:19530/COLLECTION.
        missing: Remove the photos whose files are no longer there.
    """
    given = photos or []
    if bool(given) == missing:
        raise SettingsError("name the photos to remove, or give --missing")
    opened = PlaceIndex.open(index)
    count = opened.remove_missing() if missing else opened.remove(given)
    show(f"{opened.name}: removed {counted(count, 'places')}, {len(opened):,} left")


def info(
    *,
    index: str,
    places: bool = False,
    json: bool = False,
) -> None:
    """Say what is in an index.

    ```
    netvlad index info --index my.index
    ```

    Args:
        index: The index folder, or milvus://HOST:19530/COLLECTION.
        places: List the places, one on a line: image, latitude, longitude, heading, time, tags,
            separated by tabs.
        json: Print the figures as JSON.
    """
    opened = PlaceIndex.open(index)
    if places:
        for line in place_lines(opened.places):
            print(line)
        return
    figures = opened.store.figures()
    if json:
        show_json(figures)
    else:
        show(info_table(opened.name, figures))

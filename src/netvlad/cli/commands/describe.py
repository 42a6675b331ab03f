"""``netvlad describe``: photos in, a matrix of descriptors out."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from netvlad import descriptors
from netvlad.cli.console import fail, reporting, show
from netvlad.cli.flags import ComputeFlags
from netvlad.compute import Compute
from netvlad.errors import DataError, SettingsError
from netvlad.images import SUFFIXES, left_out_notes, list_images, no_images
from netvlad.loading import load_model
from netvlad.storage import written_beside
from netvlad.types import ImageSet, Note, counted

DEFAULT_MODEL = "efficientnet-lite0-avg"


def describe(
    photos: list[Path],
    /,
    *,
    output: Path = Path("descriptors.npy"),
    model: str | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    names: Path | None = None,
    storage: Literal["32", "16"] = "32",
    compute: ComputeFlags = Compute(),
    strict: bool = False,
) -> None:
    """Write the descriptors of photos as a matrix, a row for each photo.

    ```
    netvlad describe photos/ --model runs/mine --output d.npy
    ```

    Photos of one place have rows with a large dot product: rows have unit length. `d.txt` names the
    photos, one a line, in the order of the rows. A photo that cannot be used is reported, and its
    row is zero. The same command resumes one that was stopped.

    Args:
        photos: Files, and folders, for all photos below.
        output: The .npy file to write.
        model: A run folder, an index, a cluster file (.hdf5), a backbone such as vgg16-gem with its
            published weights, or a Python file of your own, FILE.py or FILE.py:NAME, which is run
            [default: efficientnet-lite0 with average pooling].
        ckpt: Which checkpoint of a run: latest or best.
        names: The file of names [default: that of --output, with .txt].
        storage: Bits per value: 32, or 16 for half the room.
        strict: Exit with 1 when a photo could not be used.
    """
    listed, left_out, missed = _listed(photos)
    names_file = _names_file(names, output)
    with reporting() as report:
        if left_out:
            report(Note(_names_left_out(left_out)))
        for note in left_out_notes(missed):
            report(Note(note))
        if model is None:
            report(Note("no --model: efficientnet-lite0 with average pooling, ImageNet weights"))
        network = load_model(model or DEFAULT_MODEL, ckpt=ckpt, report=report)
        described = descriptors.describe(
            network,
            ImageSet(Path(), tuple(listed)),
            output=output,
            storage=storage,
            compute=compute,
            report=report,
        )
        with written_beside(names_file) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
    count, dim = described.values.shape
    size = f"{counted(count, 'photos')} × {dim} {described.values.dtype}"
    show(f"{output}: {size}, names in {names_file}")
    if described.unreadable:
        unusable = counted(len(described.unreadable), "photos")
        show(f"{unusable} could not be used; their rows are zero")
    unused = len(described.unreadable) + len(left_out) + sum(missed.values())
    if strict and unused:
        fail(f"{counted(unused, 'photos')} could not be used (--strict)")


def _listed(photos: list[Path]) -> tuple[list[str], list[str], Mapping[str, int]]:
    """The photos under the names that were typed, each once; those of a folder sorted.

    Returns:
        those that a list of names can hold, a line each; the others; and how many pictures of
        kinds that are not read there are, by suffix.

    Raises:
        DataError: a path does not exist, or there is no photo at all.
    """
    found: dict[str, None] = {}
    missed: Counter[str] = Counter()
    for path in photos:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; name photos, or folders of photos")
        if path.is_dir():
            names, others = list_images(path)
            missed.update(others)
            found.update((str(path / name), None) for name in names)
        else:
            found[str(path)] = None
    if not found:
        raise DataError("; ".join([no_images(photos[0]), *left_out_notes(missed)]))
    listed = [name for name in found if _fits_a_line(name)]
    left_out = [name for name in found if not _fits_a_line(name)]
    if not listed:
        raise DataError(_names_left_out(left_out))
    return listed, left_out, missed


def _fits_a_line(name: str) -> bool:
    try:
        return len(name.encode().decode().splitlines()) == 1
    except UnicodeEncodeError:
        return False


def _names_left_out(left_out: list[str]) -> str:
    return (
        f"left out {counted(len(left_out), 'photos')} whose names are not UTF-8 or have a line "
        f"break (the first is {left_out[0]!r}); rename them"
    )


def _names_file(names: Path | None, output: Path) -> Path:
    """Where names go: into no photo, and into neither the matrix nor what describes it.

    Raises:
        SettingsError: that is where they would go.
    """
    file = names or output.with_suffix(".txt")
    taken = {output.absolute(), output.with_suffix(".json").absolute()}
    if file.suffix.lower() in SUFFIXES or file.absolute() in taken:
        raise SettingsError(f"--names {file}: names would overwrite it; choose a .txt file")
    return file

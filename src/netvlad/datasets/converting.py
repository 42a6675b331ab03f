"""A data set in another layout: file names with positions, a table, or a ``dbStruct``."""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from netvlad.datasets.readers.csv_table import write_csv_split
from netvlad.errors import DataError, SettingsError, StorageError
from netvlad.geography import parse_utm_zone, to_wgs84
from netvlad.storage import written_beside
from netvlad.types import ImageSet, Note, PlaceDataset, Progress, Reporter, counted, silent

Layout = Literal["utm-names", "csv", "mat"]
"""What a data set can be converted to."""

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_LONGEST_NOTE = 60


def convert_dataset(
    dataset: PlaceDataset,
    to: Layout,
    output: Path,
    *,
    copy: bool = False,
    report: Reporter = silent,
) -> Path:
    """Write one split in another layout. The images it is made of stay as they are.

    - ``utm-names``: ``<output>/images/<split>/{database,queries}/``, a link (or a copy) for each
      image, named by :func:`utm_name`; images without position are left out, and a note says so.
    - ``csv``: ``<output>/<split>.csv`` with absolute paths.
    - ``mat``: ``<output>/datasets/pitts30k_<split>.mat``, a ``dbStruct`` as Pittsburgh's with
      absolute paths, which the reader of pitts30k opens.

    Radii are written where the layout has room for them (``mat``); time stamps and headings by all
    but ``mat``, which has time stamps alone.

    Args:
        dataset: the split.
        to: the layout.
        output: the folder to write into; the folder or file that was made is returned.
        copy: copy images instead of linking to them; for ``utm-names`` alone.
        report: called with the progress.

    Raises:
        SettingsError: what would be written exists already; or ``copy`` has no meaning here.
        DataError: the split cannot be written in this layout, or images are missing.
        StorageError: it cannot be written.
    """
    if copy and to != "utm-names":
        raise SettingsError(f"--copy makes no sense with --to {to}, which moves no image")
    if dataset.positives is not None:
        told = f"{dataset.name} says image by image what is correct"
        raise DataError(f"{told}, which the layout {to} cannot hold; read it as it is")
    # A split may name a part behind a colon, which is no good for a file.
    split = dataset.split.replace(":", "-")
    target = {
        "utm-names": output / "images" / split,
        "csv": output / f"{split}.csv",
        "mat": output / "datasets" / f"pitts30k_{split}.mat",
    }[to]
    if target.exists():
        raise SettingsError(f"{target}: exists already; give another --output, or remove it")
    if to == "utm-names":
        _write_named_images(target, dataset, copy, report)
    elif to == "csv":
        write_csv_split(target, _with_absolute_names(dataset))
    else:
        _write_struct(target, _with_absolute_names(dataset))
    return target


def utm_name(images: ImageSet, index: int, place: tuple[float, float], number: int) -> str:
    """The name of image ``index`` that tells its position, as Berton et al. lay it down.

    ``@easting@northing@zone@band@latitude@longitude@panorama@tile@heading@pitch@roll@height@time@
    note@.suffix``; the note is ``number``, which keeps names apart, and the image's own name.
    ``place`` is latitude and longitude; NaN when the zone is not known.
    """
    assert images.positions is not None
    east, north = images.positions[index]
    own = Path(images.names[index])
    fields = [""] * 14
    fields[0], fields[1] = f"{east:.3f}", f"{north:.3f}"
    if images.utm_zone is not None and math.isfinite(place[0]):
        zone = parse_utm_zone(images.utm_zone)
        fields[2], fields[3] = f"{zone.number:02d}", _band(place[0], zone.north)
        fields[4], fields[5] = f"{place[0]:.6f}", f"{place[1]:.6f}"
    if images.headings is not None and math.isfinite(images.headings[index]):
        fields[8] = f"{images.headings[index]:.3f}"
    if images.times is not None and math.isfinite(images.times[index]):
        fields[12] = f"{images.times[index]:.6f}".rstrip("0").rstrip(".")
    note = own.stem.encode(errors="replace").decode().replace("@", "-")
    fields[13] = f"{number:07d} {note[-_LONGEST_NOTE:].strip()}"
    while len("@".join(fields).encode()) > 230:  # 255 bytes are what a file's name may have
        fields[13] = fields[13][:-1]
    return "@" + "@".join(fields) + "@" + own.suffix.lower()


def _write_named_images(target: Path, dataset: PlaceDataset, copy: bool, report: Reporter) -> None:
    total = len(dataset.database) + len(dataset.queries)
    done = left_out = 0
    with _folder_beside(target) as temporary:
        for role, images in (("database", dataset.database), ("queries", dataset.queries)):
            folder = temporary / role
            folder.mkdir()
            before = left_out
            for source, name in _named(images):
                if name is None:
                    left_out += 1
                elif not source.is_file():
                    hint = "netvlad datasets check lists all that is missing"
                    raise DataError(f"{source}: is not there; {hint}")
                elif copy:
                    shutil.copyfile(source, folder / name)
                else:
                    (folder / name).symlink_to(source.absolute())
                done += 1
                if done % 64 == 0 or done == total:
                    stage = "Copying images" if copy else "Linking images"
                    report(Progress(stage, done, total))
            if left_out - before == len(images):
                told = f"no image of the {role} has a position, so none can be named by it"
                raise DataError(f"{dataset.name} {dataset.split}: {told}")
    if left_out:
        report(Note(f"{left_out} of {counted(total, 'images')} have no position and are left out."))


def _named(images: ImageSet) -> Iterator[tuple[Path, str | None]]:
    """Every image and its new name; None without a position."""
    positions = _positions(images)
    places = np.full_like(positions, np.nan)
    if images.utm_zone is not None:
        places = np.stack(to_wgs84(positions, images.utm_zone), axis=1)
    for i, (latitude, longitude) in enumerate(places.tolist()):
        known = np.isfinite(positions[i]).all()
        yield images.path(i), utm_name(images, i, (latitude, longitude), i) if known else None


def _positions(images: ImageSet) -> NDArray[np.float64]:
    return np.full((len(images), 2), np.nan) if images.positions is None else images.positions


@contextlib.contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` that becomes ``path`` when the block succeeds.

    Unlike :func:`netvlad.storage.folder_written_beside` for folders within the folder, and for
    more files than should be brought to the disk one by one.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _band(latitude: float, north: bool) -> str:
    """The letter of the military grid: bands of 8° from 80° south, the last one of 12°.

    Readers tell the hemisphere by it, so south of the equator a northern zone keeps a northern one.
    """
    lowest, highest = (10, len(_BANDS) - 1) if north else (0, 9)
    return _BANDS[int(np.clip((latitude + 80) // 8, lowest, highest))]


def _with_absolute_names(dataset: PlaceDataset) -> PlaceDataset:
    def absolute(images: ImageSet) -> ImageSet:
        # Links stay links: what they point to may move.
        names = tuple(os.path.abspath(images.path(i)) for i in range(len(images)))  # noqa: PTH100
        return replace(images, root=Path(), names=names)

    return replace(dataset, database=absolute(dataset.database), queries=absolute(dataset.queries))


def _write_struct(path: Path, dataset: PlaceDataset) -> None:
    # In the order in which pytorch-NetVlad expects the fields.
    struct: dict[str, Any] = {"whichSet": dataset.split}
    for names, positions, times, images in (
        ("dbImageFns", "utmDb", "dbTimeStamp", dataset.database),
        ("qImageFns", "utmQ", "qTimeStamp", dataset.queries),
    ):
        # Names as MATLAB has them: a column of cells.
        struct[names] = np.array(images.names, dtype=object)[:, None]
        struct[positions] = _positions(images).T
        if images.times is not None:
            struct[times] = images.times[None]
    struct |= {
        "numImages": float(len(dataset.database)),
        "numQueries": float(len(dataset.queries)),
        "posDistThr": dataset.radius_m,
        "posDistSqThr": dataset.radius_m**2,
        "nonTrivPosDistSqThr": dataset.train_radius_m**2,
    }
    with written_beside(path) as temporary:
        savemat(str(temporary), {"dbStruct": struct}, appendmat=False, do_compression=True)

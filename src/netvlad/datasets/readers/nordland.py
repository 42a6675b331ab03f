"""Nordland: one railway line filmed in four seasons (Sünderhauf et al. 2013), in its three splits.

Papers mean different things by "Nordland", with R@1 tens of points apart; hence the names here.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from netvlad.datasets.readers.frame_folders import frames_in
from netvlad.datasets.readers.listed_truth import neighbours_within_frames
from netvlad.datasets.readers.npy_truth import Lists, read_npy_truth, refuse_zone
from netvlad.datasets.readers.published import note_on_counts
from netvlad.errors import DataError, SettingsError
from netvlad.types import ImageSet, PlaceDataset

SPLITS = ("list-2760", "all-27592", "test-3450")
"""What the splits are: see :func:`read_nordland`."""

PUBLISHED = {"list-2760": (27_592, 2_760), "all-27592": (27_592, 27_592), "test-3450": (3_450,) * 2}

SEASONS = ("spring", "summer", "fall", "winter")

TOLERANCES = {"all-27592": 10, "test-3450": 2}
"""How many frames from the query a correct database image may be."""

LAYOUT = (
    "Nordland_{dbImages,qImages,gt}.npy (here, in Nordland/ or in datasets/Nordland/) with ref/ "
    "and query/; or summer/, winter/, … with all frames; or test/summer/, test/winter/, …"
)

_FOLDERS = {
    "all-27592": ("{}", "images/{}"),
    # The last two are what the archive of Olid et al. unpacks to.
    "test-3450": ("test/{}", "{}", "test/{}_images_test", "{}_images_test"),
}
_CLEAN_NAMES = "cleanImageNames.txt"


def read_nordland(root: Path, split: str, *, utm_zone: str | None = None) -> PlaceDataset:
    """Open one of three splits; positions are unknown, ground truth is by frame.

    - ``list-2760``: the lists of VPR-Bench (Zaffar et al. 2021) and gsv-cities: every tenth frame
      of summer is searched in all 27,592 of winter; correct is at most 1 frame away, as listed.
    - ``all-27592``: whole seasons, correct is at most 10 frames away. Winter is searched in summer,
      as Patch-NetVLAD (Hausler et al. 2021) does; ``all-27592:summer-winter`` says it the other
      way round (queries first), and likewise for any two seasons.
    - ``test-3450``: the test frames of Olid et al. (2018), at most 2 frames away; seasons as above.

    Frame k of one season shows the place of frame k of another. Where ``cleanImageNames.txt`` lies
    in the root, only the frames that it names count (those in stations and tunnels are left out).

    Args:
        root: the folder that holds the lists, or the folders of frames.
        split: one of :data:`SPLITS`, perhaps with two seasons.
        utm_zone: None; there are no positions.

    Raises:
        DataError: lists or frames are missing, or two seasons have different numbers of frames.
        SettingsError: there are no such seasons, or ``utm_zone`` is given.
    """
    refuse_zone("nordland", utm_zone)
    part, colon, seasons = split.partition(":")
    if part == "list-2760":
        if colon:
            raise SettingsError(f"{split}: the lists of list-2760 are for summer-winter only")
        return _read_lists(root, split)
    if part not in TOLERANCES:
        raise SettingsError(f"nordland has no split {part}; choose from {', '.join(SPLITS)}")
    query_season, database_season = _seasons(seasons if colon else "winter-summer")
    queries, database = (_frames(root, part, name) for name in (query_season, database_season))
    if len(queries) != len(database):
        raise DataError(
            f"{root}: {query_season} has {len(queries)} frames but {database_season} has "
            f"{len(database)}; frame k of one must show the place of frame k of the other"
        )
    frames = np.arange(len(queries), dtype=np.int64)
    published = {split: PUBLISHED[part]}
    return PlaceDataset(
        name="nordland",
        split=split,
        database=_image_set(root, database, database_season),
        queries=_image_set(root, queries, query_season),
        positives=neighbours_within_frames(frames, frames, TOLERANCES[part]),
        notes=note_on_counts("nordland", split, (len(database), len(queries)), published),
    )


def _read_lists(root: Path, split: str) -> PlaceDataset:
    where = Lists(
        name="nordland",
        folders=("", "Nordland", "datasets/Nordland"),
        database="Nordland_dbImages.npy",
        queries="Nordland_qImages.npy",
        truth="Nordland_gt.npy",
        image_folders=("", "Nordland"),
        published=PUBLISHED[split],
        layout=LAYOUT,
    )
    return read_npy_truth(root, split, where)


def _seasons(text: str) -> tuple[str, str]:
    query, _, database = text.partition("-")
    if query not in SEASONS or database not in SEASONS or query == database:
        raise SettingsError(
            f"{text!r} are not two seasons of nordland; write queries first, like winter-summer "
            f"({', '.join(SEASONS)})"
        )
    return query, database


def _frames(root: Path, part: str, season: str) -> tuple[str, ...]:
    folders = [pattern.format(season) for pattern in _FOLDERS[part]]
    folder = next((name for name in folders if (root / name).is_dir()), folders[0])
    names = frames_in(root, folder, LAYOUT)
    clean = root / _CLEAN_NAMES
    if part != "all-27592" or not clean.exists():
        return names
    try:
        wanted = set(clean.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{clean}: cannot be read: {error}") from error
    kept = tuple(name for name in names if PurePosixPath(name).name in wanted)
    if not kept:
        raise DataError(f"{clean}: names no frame of {root / folder}; remove it, or fetch it again")
    return kept


def _image_set(root: Path, names: tuple[str, ...], season: str) -> ImageSet:
    return ImageSet(
        root,
        names,
        times=np.arange(len(names), dtype=np.float64),
        labels={"condition": np.full(len(names), season)},
    )

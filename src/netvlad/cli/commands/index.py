"""``netvlad index``: make an index of photos, change it, look into it."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import numpy as np
from cyclopts import Parameter

from netvlad.cli.console import reporting, show
from netvlad.cli.engine_flags import EngineFlags
from netvlad.cli.index_tables import (
    change_line,
    confidence_table,
    folder_figures,
    folder_line,
    info_table,
    milvus_figures,
    milvus_line,
    place_lines,
    trial_table,
)
from netvlad.cli.json_output import show_json
from netvlad.cli.model_names import open_model
from netvlad.cli.models import choose_device
from netvlad.cli.photo_flags import PositionFlags, WorkFlags
from netvlad.errors import SettingsError
from netvlad.index.building import Change
from netvlad.index.calibrating import feature_names, fit, keep, labelled_answers
from netvlad.index.confidence import document_name
from netvlad.index.local_features import FeatureCache
from netvlad.index.optimizing import KINDS, optimize_folder
from netvlad.index.place_index import PlaceIndex
from netvlad.index.stores import FolderStore
from netvlad.index.stores import verify as verify_folder
from netvlad.index.stores.milvus import MilvusStore
from netvlad.index.stores.milvus_address import is_milvus, milvus_address
from netvlad.index.stores.opened import OpenedFolder
from netvlad.reports.search_plot import write_search_plot
from netvlad.search.tuning import bench_structures
from netvlad.types import Note

index = cyclopts.App(
    name="index",
    help="""Make an index of photos, change it, look into it.

    An index is a folder: the model, a descriptor of every photo, and what is known about where,
    when and in which direction each was taken. `netvlad locate` asks it. It may also lie in Milvus:
    give milvus://HOST:19530/COLLECTION wherever an index is asked for.

        netvlad index build photos/ --output my.index
        netvlad locate query.jpg --index my.index""",
)

DEFAULTS = (PositionFlags(), WorkFlags(), EngineFlags())


@index.command
def build(
    photos: list[Path],
    /,
    *,
    output: Annotated[str, Parameter(name=["--output", "--store"])],
    model: str | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    whiten: int | None = None,
    storage: Literal["16", "32"] = "16",
    positions: PositionFlags = DEFAULTS[0],
    machine: WorkFlags = DEFAULTS[1],
    engine: EngineFlags = DEFAULTS[2],
    strict: bool = False,
) -> None:
    """Make an index of photos: folders are walked, files taken as they are.

        netvlad index build photos/ --output my.index --positions positions.csv

    Where and when a photo was taken comes from the table, else from a file name such as
    @easting@northing@zone@band@...@.jpg, else from EXIF; an index without any positions answers
    with similar photos alone. A build that is stopped goes on where it was; in Milvus, with
    `netvlad index add`.

    Parameters
    ----------
    photos
        Folders and files.
    output
        The folder to make, or milvus://HOST:19530/COLLECTION.
    model
        A run folder, a backbone's name, or another index [default: EfficientNet-Lite0 and a
        NetVLAD whose centres are learned from these photos].
    ckpt
        Which checkpoint of a run: latest or best.
    whiten
        Reduce descriptors to so many dimensions, by a PCA whitening learned from these photos.
    storage
        Bits per value of the descriptors (Milvus Lite keeps 32).
    strict
        Exit with 1 when a photo could not be used.
    """
    work = engine.work(machine, output)
    with reporting() as report:
        network = None
        if model is not None:
            opened = PlaceIndex.open(model).model if is_milvus(model) else open_model(model, ckpt)
            network = opened.to(choose_device(machine.device))
        built = PlaceIndex.build(
            network,
            list(photos),
            output=output,
            positions=positions.positions,
            utm_zone=positions.utm_zone,
            storage=storage,
            whiten=whiten,
            work=work,
            report=report,
        )
        assert built.change is not None
        for note in built.change.notes:
            report(Note(note))
    _tell(built, built.change, strict)


@index.command
def add(
    index: str | None = None,
    photos: list[Path] | None = None,
    /,
    *,
    store: str | None = None,
    positions: PositionFlags = DEFAULTS[0],
    machine: WorkFlags = DEFAULTS[1],
    engine: EngineFlags = DEFAULTS[2],
    strict: bool = False,
) -> None:
    """Add photos to an index; those it has are described again only if the file has changed.

        netvlad index add my.index more-photos/

    Positions, headings, times and tags of photos it has are brought up to date. Those who read the
    index meanwhile see it as it was, or as it is afterwards; in Milvus they see it grow.

    Parameters
    ----------
    index
        The index folder, or milvus://HOST:19530/COLLECTION.
    photos
        Folders and files.
    store
        The index, instead of naming it first.
    strict
        Exit with 1 when a photo could not be used.
    """
    where, given = _named(index, [str(photo) for photo in photos or ()], store)
    if not given:
        raise SettingsError("name the photos to add: netvlad index add INDEX PHOTOS...")
    work = engine.work(machine, where)
    with reporting() as report:
        opened = PlaceIndex.open(where, device=work.device)
        change = opened.add(
            given,
            positions=positions.positions,
            utm_zone=positions.utm_zone,
            work=work,
            report=report,
        )
        for note in change.notes:
            report(Note(note))
    _tell(opened, change, strict)


@index.command
def remove(
    index: str | None = None,
    photos: list[str] | None = None,
    /,
    *,
    store: str | None = None,
    missing: Annotated[bool, Parameter(negative=())] = False,
    debug: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Remove photos from an index; the files themselves are not touched.

        netvlad index remove my.index photos/2019 photos/blurred.jpg

    Parameters
    ----------
    index
        The index folder, or milvus://HOST:19530/COLLECTION.
    photos
        Files, folders (all photos below), or names as `netvlad index info --places` lists them.
    store
        The index, instead of naming it first.
    missing
        Remove the photos whose files are no longer there.
    debug
        Show the traceback of an error.
    """
    where, given = _named(index, photos or [], store)
    if bool(given) == missing:
        raise SettingsError("name the photos to remove, or give --missing")
    opened = PlaceIndex.open(where)
    count = opened.remove_missing() if missing else opened.remove(given)
    show(f"{opened.name}: removed {count} places, {len(opened)} are left")


@index.command
def info(
    index: str | None = None,
    /,
    *,
    store: str | None = None,
    places: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    debug: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Say what is in an index.

    Parameters
    ----------
    index
        The index folder, or milvus://HOST:19530/COLLECTION.
    store
        The index, instead of naming it first.
    places
        List the places, one on a line: image, latitude, longitude, heading, time, tags, separated
        by tabs.
    json
        Print the figures as JSON.
    debug
        Show the traceback of an error.
    """
    where, _ = _named(index, [], store)
    opened = PlaceIndex.open(where)
    if places:
        for line in place_lines(opened.places):
            print(line)
        return
    if isinstance(opened.store, MilvusStore):
        figures = milvus_figures(opened.store)
    else:
        assert isinstance(opened.store, OpenedFolder)
        figures = folder_figures(opened.store.snapshot)
    if json:
        show_json(figures)
    else:
        show(info_table(opened.name, figures))


@index.command
def verify(
    index: str,
    /,
    *,
    debug: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Read every byte of an index and compare checksums; exits with 1 when something is wrong.

    Parameters
    ----------
    index
        The index folder.
    debug
        Show the traceback of an error.
    """
    folder = _folder(index, "verify")
    with reporting() as report:
        found = verify_folder(folder, report)
        for note in found.notes:
            report(Note(note))
    for problem in found.problems:
        show(problem)
    if found.problems:
        print(f"netvlad: {index}: {len(found.problems)} problems", file=sys.stderr)
        sys.exit(1)
    show(f"{index}: all is well ({found.checked_bytes / 1e6:.1f} MB read)")


@index.command
def optimize(
    index: str,
    /,
    *,
    kind: Literal["auto", "exact", "hnsw", "ivf-pq"] = "auto",
    whiten: int | None = None,
    storage: Literal["16", "32"] | None = None,
    debug: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Give back the room of removed photos, and choose how the index is searched.

        netvlad index optimize my.index

    Small indexes are searched exactly. Above 50,000 photos HNSW and IVF-PQ are built and measured:
    the first whose 20 best answers agree with exact search in at least 99 % is kept.

    Parameters
    ----------
    index
        The index folder.
    kind
        How to search: auto, exact, hnsw or ivf-pq.
    whiten
        Reduce descriptors to so many dimensions, by a PCA whitening learned from the index.
    storage
        Bits per value of the descriptors from now on [default: as they are].
    debug
        Show the traceback of an error.
    """
    assert kind in KINDS
    folder = _folder(index, "optimize")
    with reporting() as report:
        done = optimize_folder(folder, kind=kind, whiten=whiten, storage=storage, report=report)
    if done.trials:
        show(trial_table("Search measured against exact", done.trials))
    show(
        f"{index}: {done.kind} search, {done.dim} dimensions"
        + (f", dropped {done.dropped} rows of removed photos" if done.dropped else "")
    )


@index.command
def bench(
    index: str,
    /,
    *,
    kinds: str = "exact,hnsw,ivf-pq",
    plot: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    debug: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Measure recall and time of each way to search an index, against exact search.

        netvlad index bench my.index --plot bench.svg

    Parameters
    ----------
    index
        The index folder; it is not changed.
    kinds
        Which ways, separated by commas.
    plot
        Draw recall over time to this SVG file.
    json
        Print the figures as JSON.
    debug
        Show the traceback of an error.
    """
    wanted = tuple(kind.strip() for kind in kinds.split(","))
    unknown = [kind for kind in wanted if kind not in KINDS[1:]]
    if unknown:
        raise SettingsError(f"--kinds {unknown[0]}: choose of {', '.join(KINDS[1:])}")
    folder = _folder(index, "bench")
    with reporting() as report, FolderStore.open(folder) as store:
        alive = np.zeros(len(store.matrix), np.bool_)
        alive[store.rows] = True
        trials = bench_structures(store.matrix, kinds=wanted, alive=alive, report=report)
    if json:
        show_json([trial.to_json() for trial in trials])
    else:
        show(trial_table(f"Search in {index}: {store.manifest.count} places", trials))
    if plot is not None:
        write_search_plot(plot, trials)
        print(f"- plot written to {plot}", file=sys.stderr)


@index.command
def calibrate(
    index: str,
    /,
    *,
    dataset: str,
    data_dir: Path,
    split: str = "val",
    utm_zone: str | None = None,
    radius_m: float = 25.0,
    rerank: Annotated[bool, Parameter(negative=())] = False,
    machine: WorkFlags = DEFAULTS[1],
) -> None:
    """Fit the probabilities of an index to a data set whose positions are known.

        netvlad index calibrate my.index --dataset utm-names --data-dir city --split val

    Every query is asked twice: of the whole database, and with all places within 100 m of it left
    out, so that half of the answers are to photos of places that are not there. The figures are
    those of cross-validation over five strips of the ground.

    Parameters
    ----------
    index
        The index folder, or milvus://HOST:19530/COLLECTION; its own model describes the data set.
    dataset
        Layout of the data, as for `netvlad test`.
    data_dir
        The folder the data set lies in.
    split
        Which split: one that the model was not trained on.
    utm_zone
        UTM zone such as 31N, where the format does not say.
    radius_m
        How near the first place must lie to count as right (metres).
    rerank
        Fit those of re-ranked answers, which `netvlad locate --rerank` gives.
    """
    from netvlad.cli.settings import tell  # noqa: PLC0415 - brings every reader
    from netvlad.datasets import open_dataset  # noqa: PLC0415

    with reporting() as report:
        work = machine.work()
        opened = PlaceIndex.open(index, device=work.device)
        data = tell(open_dataset(dataset, data_dir, split, utm_zone=utm_zone), report)
        answers = labelled_answers(
            opened.model,
            data,
            radius_m=radius_m,
            cache=FeatureCache(None) if rerank else None,
            work=work,
            report=report,
        )
        names = feature_names(opened.model, reranked=rerank)
        calibration, measures = fit(answers, data, names, radius_m=radius_m)
        if isinstance(opened.store, MilvusStore):
            name = document_name(reranked=rerank)
            opened.store.put_document(name, calibration.to_json())
        else:
            keep(Path(index), calibration, reranked=rerank)
    show(confidence_table(f"Probabilities on {data.name} {split}, held out", measures))


def _named(index: str | None, photos: list[str], store: str | None) -> tuple[str, list[str]]:
    """The index and the photos; with --store all that stands without a flag are photos."""
    if store is not None:
        return store, photos if index is None else [index, *photos]
    if index is None:
        raise SettingsError("name the index: a folder, or milvus://HOST:19530/COLLECTION")
    return index, photos


def _folder(index: str, command: str) -> Path:
    if is_milvus(index):
        raise SettingsError(
            f"{milvus_address(index)}: `netvlad index {command}` is for index folders; Milvus "
            "looks after its own data"
        )
    return Path(index)


def _tell(opened: PlaceIndex, change: Change, strict: bool) -> None:
    show(change_line(opened.name, change))
    if isinstance(opened.store, MilvusStore):
        show(milvus_line(opened.store))
    else:
        assert isinstance(opened.store, OpenedFolder)
        show(folder_line(opened.store.snapshot))
    if strict and change.skipped:
        print(
            f"netvlad: {len(change.skipped)} photos could not be used (--strict)", file=sys.stderr
        )
        sys.exit(1)

"""``netvlad index``: make an index of photos, change it, look into it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from netvlad.cli.console import fail, reporting, show, show_json
from netvlad.cli.flags import DEFAULT_SPLIT, MACHINE, ComputeFlags, PositionFlags
from netvlad.cli.index_tables import (
    change_line,
    confidence_table,
    info_table,
    place_lines,
    trial_table,
)
from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.index.address import engine_of, shown
from netvlad.index.answer import Question
from netvlad.index.build import Change
from netvlad.index.calibration import feature_names, fit, labelled_answers
from netvlad.index.optimisation import optimize_folder
from netvlad.index.place_index import PlaceIndex, feature_matcher
from netvlad.index.probability import document_name
from netvlad.index.ray import RayCluster
from netvlad.index.stores import verify as verify_folder
from netvlad.index.stores.opened import OpenedFolder
from netvlad.loading import load_place_model
from netvlad.matching.cache import FeatureCache
from netvlad.matching.registry import DEFAULT_MATCHER, MatcherName
from netvlad.types import Note, counted

FeatureName = Literal["none"] | MatcherName

index = cyclopts.App(
    name="index",
    help="""Make an index of photos, change it, look into it.

    An index is a folder: the model, a descriptor of every photo, and what is known about where,
    when and in which direction each was taken. `netvlad locate` asks it. It may also lie in Milvus:
    give milvus://HOST:19530/COLLECTION wherever an index is asked for.

    ```
    netvlad index build photos/ --index my.index
    netvlad locate query.jpg --index my.index
    ```""",
)


@Parameter(name="*", group=MACHINE)
@dataclass(frozen=True)
class ClusterFlags:
    """One machine or many."""

    cluster: Literal["ray"] | None = None
    """Describe the photos on a Ray cluster (pip install 'netvlad[ray]'), whose nodes all find them
    at the same paths [default: on this machine alone]."""

    address: str | None = None
    """The Ray cluster: auto on one of its machines, or HOST:PORT [default: a Ray of its own on
    this machine, shut down at the end]."""

    def made(self, compute: Compute, index: str) -> RayCluster | None:
        """The machines that describe for ``index``; None is this one alone.

        Raises:
            SettingsError: there is an address, but nothing to find there; or the index lies where
                a cluster cannot be used.
        """
        if self.cluster == "ray" and engine_of(index):
            raise SettingsError("--cluster ray: works for index folders, not for Milvus")
        if self.cluster == "ray":
            return RayCluster(self.address, compute.device != "cpu")
        if self.address is not None:
            raise SettingsError(
                f"--address {self.address}: is that of a cluster; add --cluster ray"
            )
        return None


@index.command
def build(
    photos: list[Path],
    /,
    *,
    index: str,
    model: str | None = None,
    ckpt: Literal["latest", "best"] = "latest",
    whiten: int | None = None,
    storage: Literal["16", "32"] = "16",
    features: FeatureName | None = None,
    positions: PositionFlags = PositionFlags(),
    compute: ComputeFlags = Compute(),
    cluster: ClusterFlags = ClusterFlags(),
    strict: bool = False,
) -> None:
    """Make an index of photos: folders with all that lies below them, and single files.

    ```
    netvlad index build photos/ --index my.index --positions positions.csv
    ```

    Where and when a photo was taken comes from the table, else from a file name such as
    @easting@northing@zone@band@...@.jpg, else from EXIF; an index without any positions answers
    with similar photos alone. A build that was stopped is resumed when repeated; in Milvus, by
    `netvlad index add`.

    Args:
        photos: Folders and files.
        index: The folder to make, or milvus://HOST:19530/COLLECTION.
        model: A run folder, a cluster file (.hdf5), a backbone's name, or another index [default:
            EfficientNet-Lite0 and a NetVLAD whose centres are learned from these photos].
        ckpt: Which checkpoint of a run: latest or best.
        whiten: Reduce descriptors to so many dimensions, by a PCA whitening learned from these
            photos; 0 leaves them as they are [default: the default model's keep their dimension
            and are whitened in part].
        storage: Bits per value of the descriptors (Milvus Lite keeps 32).
        features: The local features to keep of each photo, about 130 kB for sift, by which `netvlad
            locate` verifies its answers; or none [default: sift; none in Milvus].
        strict: Exit with 1 when a photo could not be used.
    """
    machines = cluster.made(compute, index)
    with reporting() as report:
        network = None if model is None else load_place_model(model, ckpt=ckpt, report=report)
        built = PlaceIndex.build(
            photos,
            network,
            output=index,
            **vars(positions),
            storage=storage,
            whiten=whiten,
            features=features,
            compute=compute,
            cluster=machines,
            report=report,
        )
        assert built.change is not None
        for note in built.change.notes:
            report(Note(note))
    _tell(built, built.change, strict)


@index.command
def add(
    photos: list[Path],
    /,
    *,
    index: str,
    positions: PositionFlags = PositionFlags(),
    compute: ComputeFlags = Compute(),
    cluster: ClusterFlags = ClusterFlags(),
    strict: bool = False,
) -> None:
    """Add photos to an index; those it has are described again only if the file has changed.

    ```
    netvlad index add more-photos/ --index my.index
    ```

    Positions, headings, times and tags of photos it has are brought up to date. Those who read the
    index meanwhile see it as it was, or as it is afterwards; in Milvus they see it grow.

    Args:
        photos: Folders and files.
        index: The index folder, or milvus://HOST:19530/COLLECTION.
        strict: Exit with 1 when a photo could not be used.
    """
    machines = cluster.made(compute, index)
    with reporting() as report:
        opened = PlaceIndex.open(index, compute=compute)
        change = opened.add(photos, **vars(positions), cluster=machines, report=report)
        for note in change.notes:
            report(Note(note))
    _tell(opened, change, strict)


def _tell(opened: PlaceIndex, change: Change, strict: bool) -> None:
    show(change_line(opened.name, change), opened.store.summary())
    if strict and change.skipped:
        fail(f"{counted(len(change.skipped), 'photos')} could not be used (--strict)")


@index.command
def remove(photos: list[str] | None = None, /, *, index: str, missing: bool = False) -> None:
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


@index.command
def info(*, index: str, places: bool = False, json: bool = False) -> None:
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


def index_folder(index: str, command: str) -> Path:
    """The folder of an index, for a command that is for folders alone.

    Raises:
        SettingsError: ``index`` is an address in Milvus.
    """
    if engine_of(index):
        raise SettingsError(
            f"{shown(index)}: `netvlad index {command}` is for index folders; Milvus "
            "looks after its own data"
        )
    return Path(index)


@index.command
def verify(*, index: str) -> None:
    """Read every byte of an index and compare checksums; exits with 1 when something is wrong.

    ```
    netvlad index verify --index my.index
    ```

    Args:
        index: The index folder.
    """
    folder = index_folder(index, "verify")
    with reporting() as report:
        found = verify_folder(folder, report)
        for note in found.notes:
            report(Note(note))
    show(*found.problems)
    if found.problems:
        fail(f"{index}: {counted(len(found.problems), 'problems')}")
    show(f"{index}: all is well ({found.checked_bytes / 1e6:.1f} MB read)")


@index.command
def optimize(
    *,
    index: str,
    kind: Literal["auto", "exact", "hnsw", "ivf-pq"] = "auto",
    whiten: int | None = None,
    storage: Literal["16", "32"] | None = None,
) -> None:
    """Give back the room of removed photos, and choose how the index is searched.

    ```
    netvlad index optimize --index my.index
    ```

    Small indexes are searched exactly. Above 50,000 photos HNSW and IVF-PQ are built and measured:
    the first whose 20 best answers agree with exact search in at least 99 % is kept.

    Args:
        index: The index folder.
        kind: How to search: auto, exact, hnsw or ivf-pq.
        whiten: Reduce descriptors to so many dimensions, by a PCA whitening learned from the index.
        storage: Bits per value of the descriptors from now on [default: as they are].
    """
    folder = index_folder(index, "optimize")
    with reporting() as report:
        done = optimize_folder(folder, kind=kind, whiten=whiten, storage=storage, report=report)
    if done.trials:
        show(trial_table("Search measured against exact", done.trials))
    show(
        f"{index}: {done.kind} search, {done.dim} dimensions"
        + (f", dropped {counted(done.dropped, 'rows')} of removed photos" if done.dropped else "")
    )


@index.command
def features(name: FeatureName, /, *, index: str, compute: ComputeFlags = Compute()) -> None:
    """Choose the local features that an index keeps, by which `netvlad locate` verifies.

    ```
    netvlad index features sift --index my.index
    ```

    They are found in every photo that has none yet, and written as they come: a run that was
    stopped is resumed when repeated. Learned ones need pip install 'netvlad[matching]'.

    Args:
        name: Which; none removes those there are.
        index: The index folder.
    """
    folder = index_folder(index, "features")
    with reporting() as report:
        matcher = feature_matcher(name, compute, report)
        store = OpenedFolder(folder)
        store.keep_features(matcher, compute, report)
    show(store.summary())


@index.command
def calibrate(
    *,
    index: str,
    dataset: str,
    data_dir: Path,
    split: str = DEFAULT_SPLIT,
    utm_zone: str | None = None,
    radius_m: float = 25.0,
    rerank: Annotated[bool | None, Parameter(negative="--no-rerank")] = None,
    matcher: MatcherName | None = None,
    compute: ComputeFlags = Compute(),
) -> None:
    """Fit the probabilities of an index to a data set whose positions are known.

    ```
    netvlad index calibrate --index my.index --dataset csv --data-dir city
    ```

    Every query is asked twice: of the whole database, and with all places within 100 m of it left
    out, so that half of the answers are to photos of places that are not there. The figures are
    those of cross-validation over five strips of the ground, with gaps between what is learned from
    and what is measured on.

    Args:
        index: The index folder, or milvus://HOST:19530/COLLECTION; its own model describes the data
            set.
        dataset: Layout of the data, as for `netvlad test`.
        data_dir: The folder the data set lies in.
        split: Which split: one that the model was not trained on.
        utm_zone: UTM zone such as 31N, where the format does not say.
        radius_m: How near the first place must lie to count as right (metres).
        rerank: Fit those of verified answers [default: where the index keeps local features].
        matcher: Fit those that `netvlad locate --matcher` of that name gives [default: the features
            that the index keeps, else sift].
    """
    from netvlad.cli.settings import tell  # noqa: PLC0415 - brings every reader
    from netvlad.datasets import open_dataset  # noqa: PLC0415

    with reporting() as report:
        opened = PlaceIndex.open(index, compute=compute)
        data = tell(open_dataset(dataset, data_dir, split, utm_zone=utm_zone), report)
        reranked = Question(rerank=matcher or rerank).matcher(opened.store.features)
        answers = labelled_answers(
            opened.model,
            data,
            radius_m=radius_m,
            cache=None if reranked is None else FeatureCache(None),
            matcher=opened.matcher(reranked or DEFAULT_MATCHER, report=report),
            compute=compute,
            report=report,
        )
        names = feature_names(opened.model, reranked=reranked is not None)
        calibration, measures = fit(answers, data, names, radius_m=radius_m)
        name = document_name(reranked=reranked or False)
        opened.store.put_document(name, calibration.to_json())
    show(confidence_table(f"Probabilities on {data.name} {split}, held out", measures))

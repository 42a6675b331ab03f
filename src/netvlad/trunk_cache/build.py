"""From images to a complete trunk cache."""

from datetime import datetime
from pathlib import Path

from netvlad.compute import Compute
from netvlad.descriptors import fill
from netvlad.errors import StorageError
from netvlad.images.listing import images_fingerprint
from netvlad.models import PlaceModel
from netvlad.models.fingerprints import trunk_fingerprint
from netvlad.storage import fingerprint, locked
from netvlad.trunk_cache.store import TrunkCache, TrunkCacheWriter, open_complete
from netvlad.types import ImageSet, Note, Reporter, counted, silent

FORMAT = 1  # of the files; another number makes old caches invisible


def open_trunk_cache(
    model: PlaceModel,
    images: ImageSet,
    folder: str | Path,
    *,
    compute: Compute = Compute(),
    stage: str = "Frozen trunk",
    keep_unfinished: bool = True,
    report: Reporter = silent,
) -> TrunkCache:
    """Open the trunk's output of ``images``, computing what is missing.

    A cache is found again by the trunk's weights, the backbone's cut, the size images are brought
    to, and the image files (names, sizes, times). A build that was killed is resumed, with the
    same result; while another process builds the same cache this one waits for it. Values are kept
    in half precision, or in bfloat16 where half precision overflows.

    Args:
        model: with a frozen trunk (``model.encoder.cut`` above 0).
        images: N images of any sizes.
        folder: where caches are kept; each gets a folder of its own in there.
        compute: where and how.
        stage: the progress bar's label.
        keep_unfinished: whether a build that cannot be written to its end, the disk being full,
            keeps what it has, to be resumed; otherwise it gives the room back.
        report: receives progress and notes.

    Raises:
        StorageError: there is no room for it (with the figure), or it cannot be written.
    """
    model = compute.place(model)
    trunk = trunk_fingerprint(model)
    key = fingerprint(str(FORMAT), trunk, images_fingerprint(images), compute.precision)
    place = Path(folder) / f"{model.spec.arch}-{key}"
    if (cache := open_complete(place, images)) is not None:
        report(Note(f"{stage}: {_summary(cache)}, taken from {place}"))
        return cache

    def waiting() -> None:
        report(Note(f"{stage}: another run is computing {place}; waiting for it"))

    with locked(place, "building a trunk cache", waiting=waiting):
        if (cache := open_complete(place, images)) is not None:
            return cache
        about = {
            "format": FORMAT,
            "arch": model.spec.arch,
            "cut": model.encoder.cut,
            "trunk": trunk,
            "precision": compute.precision,
            "resize": model.spec.resize,
            "images_in": str(images.root.absolute()),
            "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        }

        def build(dtype: str) -> None:
            writer = TrunkCacheWriter(place, images, dtype)
            try:
                fill(
                    writer, model, model.trunk, images, compute=compute, stage=stage, report=report
                )
                writer.finish(about)
            except (OverflowError, StorageError) as error:
                if isinstance(error, OverflowError) or not keep_unfinished:
                    writer.discard()
                raise
            finally:
                writer.close()

        try:
            build("float16")
        except OverflowError:
            report(Note(f"{stage}: too large for half precision; kept as bfloat16 instead"))
            build("bfloat16")
    built = open_complete(place, images)
    if built is None:
        raise StorageError(f"{place}: was removed while it was written; start again")
    report(Note(f"{stage}: {_summary(built)} in {place}"))
    return built


def _summary(cache: TrunkCache) -> str:
    return f"{counted(len(cache.offsets), 'images')}, {cache.size_bytes / 1e9:.2f} GB"

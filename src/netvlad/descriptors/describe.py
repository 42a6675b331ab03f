"""From images to descriptors, with bounded memory whatever their number."""

import time
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from netvlad.compute import Compute
from netvlad.descriptors.passes import fill
from netvlad.descriptors.rows import (
    Descriptors,
    FileRows,
    MemoryRows,
    describe_in_file,
    storage_dtype,
)
from netvlad.errors import DataError, ModelError, SettingsError
from netvlad.export.engines import running
from netvlad.images import left_out_notes, list_images, no_images
from netvlad.models import Describer
from netvlad.types import ImageSet, Reporter, silent


def describe(
    model: Describer,
    images: ImageSet | str | Path | Iterable[str | Path],
    *,
    output: str | Path | None = None,
    storage: str = "32",
    compute: Compute = Compute(),
    stage: str = "Describing images",
    report: Reporter = silent,
) -> Descriptors:
    """Describe every image of ``images`` with ``model``.

    An image that cannot be used is reported, and gets a zero row; the others are described.

    With ``output`` the rows go straight into a file, so that memory stays bounded whatever their
    number. A run that was killed is resumed, with the same result; finished descriptors of
    the same model and images are opened instead of computed.

    Example:
        >>> import netvlad
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> model = netvlad.load_model("efficientnet-lite0-avg")
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (160, 120), "teal").save(f"{folder}/1.jpg")
        ...     _ = Path(folder, "2.jpg").write_text("not a picture")
        ...     found = describe(model, folder)
        >>> found.values.shape, found.readable.tolist(), found.unreadable[0].error.reason
        ((2, 112), [True, False], 'is not an image that can be read')

    Args:
        model: moved to ``compute.device``; used in evaluation mode and left in the mode it was
            in.
        images: N images, of any sizes (a batch holds images of one size): an image set; a folder,
            for all images below it, sorted; a file; or an iterable of files and folders.
        output: the ``.npy`` file to write; a ``.json`` beside it tells what it was made from. None
            keeps the descriptors in memory.
        storage: ``"32"`` keeps float32; ``"16"`` float16, half as large, accurate to 5e-4.
        compute: where and how.
        stage: the progress bar's label.
        report: receives progress and notes.

    Returns:
        (N, D) descriptors in the order of ``images``.

    Raises:
        StorageError: the file cannot be written, another process is writing it, or it holds
            descriptors of something else.
        SettingsError: ``storage`` is neither, or ``output`` is no ``.npy`` file.
        DataError: ``images`` are no paths, a folder does not exist or has no images.
        ModelError: ``model`` is no model of netvlad's.
    """
    if not isinstance(getattr(model, "descriptor_dim", None), int):
        raise ModelError(
            f"cannot describe with a {type(model).__name__}; give netvlad.load_model(NAME), or a "
            "torch module in netvlad.ExternalModel"
        )
    if not isinstance(compute, Compute):
        raise SettingsError(
            f"compute is {compute!r}; give a netvlad.Compute, such as Compute('cpu')"
        )
    images = image_set(images)
    started = time.perf_counter()
    dtype = storage_dtype(storage)
    model = compute.place(model)

    def complete(rows: MemoryRows | FileRows) -> None:
        with running(model, compute, len(images), report):
            fill(rows, model, model, images, compute=compute, stage=stage, report=report)

    if output is not None:
        return describe_in_file(
            model,
            images,
            Path(output),
            complete,
            storage=storage,
            precision=compute.precision,
            stage=stage,
            report=report,
        )
    memory = MemoryRows((len(images), model.descriptor_dim), dtype)
    complete(memory)
    seconds = time.perf_counter() - started
    return Descriptors.of(*memory.finish(), seconds=seconds, computed=len(images))


def image_set(images: ImageSet | str | Path | Iterable[str | Path]) -> ImageSet:
    """The images that a caller names: a set as it is; files; folders for all images below.

    Raises:
        DataError: something else is given, a folder does not exist or has no images.
    """
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        folder = Path(images)
        if not folder.exists():
            raise DataError(f"{folder}: no such file or folder")
        if folder.is_dir():
            return ImageSet(folder, _names_in(folder))
        return ImageSet(folder.parent, (folder.name,))
    if not isinstance(images, Iterable) or isinstance(images, Mapping | Set):
        raise DataError(_refused(images))
    names: list[str] = []
    for path in images:
        if not isinstance(path, str | Path):
            raise DataError(_refused(path))
        folder = Path(path)
        if folder.is_dir():
            names += [str(folder / name) for name in _names_in(folder)]
        else:
            names.append(str(path))
    return ImageSet(Path(), tuple(names))


def _names_in(folder: Path) -> tuple[str, ...]:
    names, missed = list_images(folder)
    if not names:
        raise DataError("; ".join([no_images(folder), *left_out_notes(missed)]))
    return tuple(names)


def _refused(given: object) -> str:
    return (
        f"cannot describe a {type(given).__name__}; give a folder, files, or an ImageSet "
        "(model.describe takes images from memory)"
    )

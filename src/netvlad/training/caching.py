"""Whether a training uses a trunk cache, where it lies, and the notes on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from netvlad.errors import StorageError
from netvlad.training.features import TrunkFeatures
from netvlad.training.recipes import Recipe
from netvlad.types import Note, Reporter


class Caching:
    """What ``--trunk-cache`` means for one training.

    Attributes:
        folder: where caches are kept; None goes without.
    """

    def __init__(
        self, wanted: Path | Literal["auto", "off"], run: Path, recipe: Recipe, report: Reporter
    ) -> None:
        """Decide where; nothing is read or written.

        Args:
            wanted: a folder; ``"auto"``: ``cache`` beside the run folder, if there is room; or
                ``"off"``.
            run: the run folder.
            recipe: whether its augmentation changes images matters.
            report: receives notes.
        """
        self._optional = wanted == "auto"
        self._recipe, self._report = recipe, report
        self.folder: Path | None = None
        if wanted != "off":
            self.folder = run.parent / "cache" if wanted == "auto" else Path(wanted)

    def prepare(self, features: Mapping[str, TrunkFeatures | None]) -> None:
        """Open or build the cache of each of a training's image sets.

        Args:
            features: by what they are of (``"training"``), for the progress bar.

        Raises:
            StorageError: a folder that was asked for by name cannot be written.
        """
        if self.folder is None:
            return
        if self._recipe.augment == "images":
            self._report(
                Note(
                    "the trunk cache serves refreshes and validation only: --augment images "
                    "changes the images of every step, so steps run the whole network"
                )
            )
        for what, part in features.items():
            if part is not None and part.model.encoder.cut == 0:
                self._report(
                    Note("no trunk cache: every layer is trained, so there is no frozen trunk")
                )
                return
            if part is not None:
                self._prepare(part, f"Frozen trunk, {what} images")

    def _prepare(self, features: TrunkFeatures, stage: str) -> None:
        try:
            features.prepare(
                stage=stage,
                keep_unfinished=not self._optional,
            )
        except StorageError as error:
            if not self._optional:
                raise
            self._report(Note(f"no trunk cache ({error}): computing its content anew each time"))

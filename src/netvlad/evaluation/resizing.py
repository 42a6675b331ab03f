"""How an evaluation brings its images to size, and whether our own loader can do it so."""

from dataclasses import dataclass
from typing import Literal

from netvlad.errors import SettingsError
from netvlad.images.decoding import Resize

Kind = Literal["model", "native", "square", "short-side", "long-side", "height-width"]

_NUMBERS: dict[Kind, int] = {
    "model": 0,
    "native": 0,
    "square": 1,
    "short-side": 1,
    "long-side": 1,
    "height-width": 2,
}


@dataclass(frozen=True)
class Resizing:
    """What is done to an image between its file and the network.

    Sizes that look alike are not: published figures differ by how the same number of pixels was
    reached. What the loader of this package cannot do is refused by :meth:`for_loader`, never
    ignored.

    Attributes:
        kind: ``"model"`` leaves it to the model, ``"native"`` keeps every size, ``"square"`` and
            ``"height-width"`` squash, ``"short-side"`` and ``"long-side"`` keep the shape.
        pixels: one number of pixels (square, short-side, long-side), height and width
            (height-width), or none.
        interpolation: ``"bilinear"`` or ``"bicubic"``.
        antialias: whether pixels are averaged when an image shrinks (Pillow always does; tensors
            resized by older torchvision were not).
        when: before the mean is subtracted, on 8-bit pixels, or after, on floats.
    """

    kind: Kind = "model"
    pixels: tuple[int, ...] = ()
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    when: Literal["before-normalisation", "after-normalisation"] = "before-normalisation"

    def __post_init__(self) -> None:
        if self.kind not in _NUMBERS:
            raise SettingsError(f"resizing kind {self.kind!r}: choose from {', '.join(_NUMBERS)}")
        if len(self.pixels) != _NUMBERS[self.kind] or min(self.pixels, default=1) < 1:
            raise SettingsError(
                f"resizing {self.kind} has pixels {self.pixels}; "
                f"it takes {_NUMBERS[self.kind]} positive numbers"
            )

    @property
    def refusals(self) -> tuple[str, ...]:
        """What our loader cannot do, a few words each; empty when it can do all of it."""
        if self.kind == "native":
            # Nothing is interpolated, so it does not matter how.
            return ()
        return tuple(
            words
            for impossible, words in (
                (self.kind == "short-side", "resizing by the short side"),
                (self.interpolation != "bilinear", f"{self.interpolation} interpolation"),
                (not self.antialias, "shrinking without antialiasing"),
                (self.when != "before-normalisation", "resizing after normalisation"),
            )
            if impossible
        )

    def for_loader(self, model_resize: Resize = None) -> Resize:
        """What to tell the loader.

        Args:
            model_resize: the model's own size, for the kind ``"model"``.

        Raises:
            SettingsError: the loader cannot do it; the message names each thing that it cannot.
        """
        if self.refusals:
            raise SettingsError(
                f"resizing ({self.words}): the loader cannot do {' nor '.join(self.refusals)}; "
                "describe the images elsewhere and evaluate the descriptors, or choose a "
                "protocol that is resized otherwise"
            )
        if self.kind == "model":
            return model_resize
        if self.kind == "native":
            return None
        if self.kind == "long-side":
            return self.pixels[0]
        # A square is one number for both sides.
        return self.pixels[0], self.pixels[-1]

    @property
    def words(self) -> str:
        """For people, such as ``"480×640, not antialiased, after normalisation"``."""
        size = {
            "model": "the model's own",
            "native": "native",
            "square": "{0}×{0}",
            "short-side": "short side {0}",
            "long-side": "long side at most {0}",
            "height-width": "{0}×{1}",
        }[self.kind].format(*self.pixels)
        parts = [size]
        if self.kind != "native":
            parts += [self.interpolation] if self.interpolation != "bilinear" else []
            parts += ["not antialiased"] if not self.antialias else []
            parts += ["after normalisation"] if self.when != "before-normalisation" else []
        return ", ".join(parts)


AS_THE_MODEL = Resizing()
"""Whatever size the model was made for."""

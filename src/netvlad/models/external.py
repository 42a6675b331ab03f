"""Anybody's network as a model of ours: a module, how its pixels are prepared, and a name."""

import copy
import itertools
import re
from collections.abc import Mapping
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netvlad.errors import ModelError, NetvladError
from netvlad.images import Resize
from netvlad.models.describer import DescribesImages, evaluating
from netvlad.models.image_inputs import check_batch
from netvlad.models.place_model import PlaceModel
from netvlad.models.preprocessing import IMAGENET, Preprocessing
from netvlad.models.spec import ModelSpec

_PROBED_SIDE = 224
"""Pixels a side of the image that tells a descriptor's length: what networks for ImageNet take, and
a multiple of the strides 32, 16 and 14."""


class ExternalModel(DescribesImages, nn.Module):
    """A :class:`~netvlad.models.Describer` made of any module.

    Attributes:
        module: takes (B, 3, H, W), as ``preprocessing`` leaves them, on its own device, in the
            type of its parameters (float32 without parameters); gives (B, D).
        name: what it is called in reports and fingerprints.
        resize: (height, width) in pixels that images are brought to before they are described; or
            the most that their longer side may have; None for their own size.
        minimum_size: the smallest image side that can be described, in pixels.
        preprocessing: how the module expects pixels; None for floats in 0..255.
        code: what tells this version of the module's code from others; part of the fingerprint.

    Example:
        >>> import numpy as np
        >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
        >>> model = ExternalModel(module, name="colours", resize=(64, 64))
        >>> model.describe(np.zeros((48, 64, 3), np.uint8)).shape
        (48,)
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        resize: Resize = None,
        minimum_size: int = 1,
        preprocessing: Preprocessing | None = IMAGENET,
        descriptor_dim: int | None = None,
        code: str = "",
    ) -> None:
        """Wrap a module; it keeps its device and its mode.

        Args:
            module: see the attributes, for these and for the others.
            name: see above.
            resize: see above.
            minimum_size: see above.
            preprocessing: see above; ImageNet's mean and deviation unless told otherwise.
            descriptor_dim: D; None finds it by describing one image when it is asked for.
            code: see above.

        Raises:
            ModelError: ``module`` is not a module, or is a model of netvlad already; or another
                argument has no valid value.
        """
        super().__init__()
        _check(module, name, minimum_size, preprocessing, descriptor_dim)
        self.module = module
        self.name = name
        self.resize = _valid_resize(resize)
        self.minimum_size = minimum_size
        self.preprocessing = preprocessing
        self.code = code
        self._given_dim = descriptor_dim
        self._dim = descriptor_dim

    @property
    def training(self) -> bool:
        """Whether the module is in training mode; one that shares it says the same."""
        return self.module.training

    @training.setter
    def training(self, mode: bool) -> None:
        """The module has the flag; torch sets it there, too."""

    @property
    def descriptor_dim(self) -> int:
        """Length of a descriptor; the first time, one small image may be described to find it.

        Raises:
            ModelError: the module cannot describe it.
        """
        if self._dim is None:
            self._probe()
        assert self._dim is not None
        return self._dim

    @property
    def device(self) -> torch.device:
        """Where the parameters (or else the buffers) are; the CPU for a module without any."""
        first = next(itertools.chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    @property
    def identity(self) -> tuple[str, ...]:
        """What a descriptor depends on beside the weights and the image, as far as can be told."""
        # Some layers show a function's address, which is another in every process.
        layers = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.module))
        return (
            "external",
            self.name,
            repr(self.resize),
            repr(self.preprocessing),
            type(self.module).__qualname__,
            layers,
            self.code,
        )

    def resized(self, resize: Resize) -> Self:
        """A twin for images of another size, which shares the module, its device and its mode.

        Raises:
            ModelError: ``resize`` is no size.
        """
        twin = copy.copy(self)
        twin.resize = _valid_resize(resize)
        # A module that flattens maps gives descriptors of another length at another size.
        twin._dim = self._given_dim
        return twin

    def forward(self, images: Tensor) -> Tensor:
        """Describe a batch of images of one size.

        Args:
            images: (B, 3, H, W) RGB on any device, uint8, or floating point in 0..255.

        Returns:
            (B, descriptor_dim) float32, L2-normalised, on the module's device.

        Raises:
            ModelError: the batch has another shape, or its images are too small; the module fails,
                or gives anything but finite descriptors of the same length as ever.
        """
        check_batch(images, minimum_size=self.minimum_size, name=self.name)
        # Modules that call view() on maps need them contiguous, which the loader's are not.
        images = images.to(self.device).contiguous()
        prepared = images.float() if self.preprocessing is None else self.preprocessing(images)
        dtypes = (p.dtype for p in self.parameters() if p.is_floating_point())
        prepared = prepared.to(next(dtypes, torch.float32))
        try:
            given = self.module(prepared)
        except NetvladError:
            raise
        except Exception as error:
            raise ModelError(
                f"model {self.name}: fails on images of shape {tuple(images.shape)}: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        return F.normalize(self._checked(given, len(images)).float(), dim=1)

    def _checked(self, given: object, count: int) -> Tensor:
        """What the module gave for ``count`` images, if that is a descriptor for each."""
        if not isinstance(given, Tensor):
            raise ModelError(
                f"model {self.name}: gave {_what(given)} instead of one tensor of shape "
                f"({count}, D); wrap it in a module that picks the descriptors out"
            )
        shape = tuple(given.shape)
        if len(shape) != 2 or shape[0] != count or shape[1] == 0:
            raise ModelError(
                f"model {self.name}: gave a tensor of shape {shape} for {count} images, expected "
                f"({count}, D); pool or flatten it into one row for each image"
            )
        if not given.is_floating_point():
            raise ModelError(f"model {self.name}: gave {given.dtype}; descriptors are floats")
        if self._dim is None:
            self._dim = shape[1]
        if shape[1] != self._dim:
            raise ModelError(
                f"model {self.name}: gave descriptors of {shape[1]} dimensions, expected "
                f"{self._dim}; if it depends on the size of images, set resize=(height, width)"
            )
        wrong = count - int(torch.isfinite(given).all(dim=1).sum())
        if wrong:
            raise ModelError(
                f"model {self.name}: gave NaN or infinity for {wrong} of {count} images; check "
                "its weights and preprocessing, or compute in 32 bits"
            )
        return given

    @torch.no_grad()
    def _probe(self) -> None:
        """Find the length of a descriptor: describe noise of the size that images will have."""
        if isinstance(self.resize, tuple):
            size = self.resize
        else:
            side = max(min(self.resize or _PROBED_SIDE, _PROBED_SIDE), self.minimum_size)
            size = (side, side)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=generator)
        with evaluating(self):
            self(noise)


def _check(
    module: object, name: object, minimum_size: object, preprocessing: object, dim: object
) -> None:
    if not isinstance(name, str) or not name:
        raise ModelError(f"a model's name is {name!r}; give a word, such as dino-avg")
    if isinstance(module, PlaceModel | ExternalModel):
        raise ModelError(
            f"model {name}: is a {type(module).__name__}, which prepares its images itself; use it "
            "as it is"
        )
    if not isinstance(module, nn.Module):
        raise ModelError(f"model {name}: is {_what(module)}, expected a torch.nn.Module")
    for label, value in (("minimum_size", minimum_size), ("descriptor_dim", dim or 1)):
        if not isinstance(value, int) or value < 1:
            raise ModelError(f"model {name}: {label} is {value!r}; give a whole number from 1")
    if not isinstance(preprocessing, Preprocessing | None):
        raise ModelError(
            f"model {name}: preprocessing is {_what(preprocessing)}; give "
            "netvlad.models.Preprocessing(mean, std), in 0..255, or None"
        )


def _valid_resize(resize: Resize) -> Resize:
    # The rule of our own models, and its message.
    return ModelSpec(resize=resize).resize


def _what(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} of {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, tuple | list):
        kinds = ", ".join(type(part).__name__ for part in value)
        return f"a {type(value).__name__} of {len(value)} ({kinds})"
    return "None" if value is None else f"a {type(value).__name__}"

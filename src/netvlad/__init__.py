"""Visual place recognition: images in, descriptors that are close when the place is the same."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from netvlad.lazy import offered

__version__ = version("netvlad")

_PUBLIC = {
    "netvlad.compute": ("Compute",),
    "netvlad.datasets": ("open_dataset",),
    "netvlad.descriptors.describe": ("describe",),
    "netvlad.errors": ("NetvladError",),
    "netvlad.evaluation.compare": ("compare",),
    "netvlad.evaluation.comparison": ("Comparison",),
    "netvlad.evaluation.evaluate": ("Evaluation", "evaluate"),
    "netvlad.index": ("Answer", "LoopCloser", "PlaceIndex", "Where"),
    "netvlad.loading": ("list_models", "load_model"),
    "netvlad.models": ("ExternalModel", "PlaceModel", "register_model"),
    "netvlad.types": ("ImageSet", "Matches", "PlaceDataset", "Recalls"),
}
__all__ = [
    "Answer",
    "Comparison",
    "Compute",
    "Evaluation",
    "ExternalModel",
    "ImageSet",
    "LoopCloser",
    "Matches",
    "NetvladError",
    "PlaceDataset",
    "PlaceIndex",
    "PlaceModel",
    "Recalls",
    "Where",
    "__version__",
    "compare",
    "describe",
    "evaluate",
    "list_models",
    "load_model",
    "open_dataset",
    "register_model",
]

if TYPE_CHECKING:
    from netvlad.compute import Compute
    from netvlad.datasets import open_dataset
    from netvlad.descriptors import describe
    from netvlad.errors import NetvladError
    from netvlad.evaluation.compare import compare
    from netvlad.evaluation.comparison import Comparison
    from netvlad.evaluation.evaluate import Evaluation, evaluate
    from netvlad.index import Answer, LoopCloser, PlaceIndex, Where
    from netvlad.loading import list_models, load_model
    from netvlad.models import ExternalModel, PlaceModel, register_model
    from netvlad.types import ImageSet, Matches, PlaceDataset, Recalls


__getattr__, _names = offered(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return __all__

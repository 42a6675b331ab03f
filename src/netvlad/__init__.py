"""Visual place recognition: images in, descriptors that are close when the place is the same."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__version__ = version("netvlad")

# Imported when first used: torch takes seconds, and `netvlad --help` should not.
_PUBLIC = {
    "Compute": "netvlad.compute",
    "ImageSet": "netvlad.types",
    "Matches": "netvlad.types",
    "PlaceDataset": "netvlad.types",
    "Recalls": "netvlad.types",
    "NetvladError": "netvlad.errors",
    "open_dataset": "netvlad.datasets",
    "PlaceModel": "netvlad.models",
    "ExternalModel": "netvlad.models",
    "register_model": "netvlad.models",
    "list_models": "netvlad.loading",
    "load_model": "netvlad.loading",
    "describe": "netvlad.descriptors.describe",
    "Comparison": "netvlad.evaluation.comparison",
    "Evaluation": "netvlad.evaluation.evaluate",
    "compare": "netvlad.evaluation.compare",
    "evaluate": "netvlad.evaluation.evaluate",
    "PlaceIndex": "netvlad.index",
    "Answer": "netvlad.index",
    "Where": "netvlad.index",
}
__all__ = [
    "Answer",
    "Comparison",
    "Compute",
    "Evaluation",
    "ExternalModel",
    "ImageSet",
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
    from netvlad.index import Answer, PlaceIndex, Where
    from netvlad.loading import list_models, load_model
    from netvlad.models import ExternalModel, PlaceModel, register_model
    from netvlad.types import ImageSet, Matches, PlaceDataset, Recalls


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'netvlad' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__

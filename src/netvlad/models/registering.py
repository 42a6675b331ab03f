"""Networks that a user's own file offers by name, for commands that ask for a model."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from netvlad.errors import ModelError
from netvlad.images import Resize
from netvlad.models.external import ExternalModel
from netvlad.models.preprocessing import IMAGENET, Preprocessing
from netvlad.storage import fingerprint

Build = TypeVar("Build", bound=Callable[[], nn.Module])


@dataclass(frozen=True)
class RegisteredModel:
    """A model that :func:`register_model` was told of, not yet built.

    Attributes:
        name: its name.
        build: makes the module.
        resize: see :class:`ExternalModel`.
        minimum_size: see there.
        preprocessing: see there.
    """

    name: str
    build: Callable[[], nn.Module]
    resize: Resize
    minimum_size: int
    preprocessing: Preprocessing | None

    def open(self) -> ExternalModel:
        """Build the module and wrap it, in evaluation mode.

        Raises:
            ModelError: what was built is no module, or the settings have no valid value.
        """
        model = ExternalModel(
            self.build(),
            name=self.name,
            resize=self.resize,
            minimum_size=self.minimum_size,
            preprocessing=self.preprocessing,
            code=_code(self.build),
        )
        return model.eval()


_REGISTERED: dict[str, RegisteredModel] = {}


def register_model(
    name: str,
    *,
    resize: Resize = None,
    minimum_size: int = 1,
    preprocessing: Preprocessing | None = IMAGENET,
) -> Callable[[Build], Build]:
    """Decorate a function that builds a module: its file can then be named as a model.

    Example:
        >>> @register_model("colours", resize=(64, 64))
        ... def colours() -> nn.Module:
        ...     return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())

    Args:
        name: what the model is called.
        resize: (height, width) in pixels that images are brought to before they are described; or
            the most that their longer side may have; None for their own size.
        minimum_size: the smallest image side that can be described, in pixels.
        preprocessing: how the module expects pixels; None for floats in 0..255.

    Returns:
        The decorator; it leaves the function as it is.

    Raises:
        ModelError: another function has registered this name.
    """

    def register(build: Build) -> Build:
        known = _REGISTERED.get(name)
        # The cell of a notebook may run again.
        if known is not None and _origin(known.build) != _origin(build):
            raise ModelError(f"model {name} is registered already; choose another name")
        _REGISTERED[name] = RegisteredModel(name, build, resize, minimum_size, preprocessing)
        return build

    return register


def registered_while(run: Callable[[], object]) -> Mapping[str, RegisteredModel]:
    """The models that are registered while ``run`` runs, by name; they do not stay registered.

    Two files may so use the same names.
    """
    before = dict(_REGISTERED)
    _REGISTERED.clear()
    try:
        run()
        return dict(_REGISTERED)
    finally:
        _REGISTERED.clear()
        _REGISTERED.update(before)


def _origin(build: Callable[[], nn.Module]) -> tuple[object, object]:
    return getattr(build, "__module__", None), getattr(build, "__qualname__", build)


def _code(build: Callable[[], nn.Module]) -> str:
    """A fingerprint of the file in which ``build`` stands; empty where there is none."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(build))
        return "" if file is None else fingerprint(Path(file).read_bytes())
    except (TypeError, OSError):
        return ""

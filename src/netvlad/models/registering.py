"""Networks that a user's own Python file offers by name, as ``FILE.py`` or ``FILE.py:NAME``."""

import contextlib
import functools
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from netvlad.errors import ModelError, NetvladError, SettingsError
from netvlad.images import Resize
from netvlad.models.external import ExternalModel
from netvlad.models.preprocessing import IMAGENET, Preprocessing
from netvlad.storage import fingerprint

Build = TypeVar("Build", bound=Callable[[], nn.Module])


@dataclass(frozen=True)
class RegisteredModel:
    """A model that :func:`register_model` was given, not yet built.

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
        """Build the module and wrap it, in evaluation mode; a ModelError where that cannot be."""
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

    Examples:
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


def is_python_file(name: str) -> bool:
    """Whether ``name`` has the form of ``FILE.py`` or ``FILE.py:NAME``."""
    return name.endswith(".py") or ".py:" in name


def open_python_file(name: str) -> ExternalModel:
    """Run a Python file, ``FILE.py`` or ``FILE.py:NAME``, and build a model that it registers.

    The model is in evaluation mode. The file is code: trust it first. It may import what lies
    beside it.

    Raises:
        SettingsError: there is no such file; it fails, in which case the message names the line;
            or it registers no such model, and the message names those that there are.
    """
    file, wanted = name, None
    if not name.endswith(".py"):
        file, _, wanted = name.rpartition(".py:")
        file += ".py"
    path = Path(file)
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; --model takes a Python file that is there")
    with _errors_of(path), _importable(path.absolute().parent):
        stat = path.stat()
        model = _chosen(path, _registered(path.absolute(), stat.st_mtime_ns, stat.st_size), wanted)
        return model.open()


@functools.cache
def _registered(path: Path, _changed: int, _size: int) -> Mapping[str, RegisteredModel]:
    """What a file registers; run once, however many of its models are opened."""
    name = f"netvlad_model_{path.stem}_{fingerprint(str(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look their module up.
    sys.modules[name] = module
    loader = spec.loader
    return registered_while(lambda: loader.exec_module(module))


def _chosen(
    path: Path, models: Mapping[str, RegisteredModel], wanted: str | None
) -> RegisteredModel:
    names = ", ".join(models)
    if not models:
        raise SettingsError(
            'registers no model; put @netvlad.register_model("NAME") before a function that '
            "returns the module"
        )
    if wanted is not None and wanted not in models:
        raise SettingsError(f"registers no model {wanted!r}; there is {names}")
    if wanted is None and len(models) > 1:
        raise SettingsError(f"registers {names}; choose one, such as {path}:{next(iter(models))}")
    return models[wanted or next(iter(models))]


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        # The file may have changed the list, too.
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


@contextlib.contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn whatever a user's file raises into one line that says where."""
    try:
        yield
    except (Exception, SystemExit) as error:
        line = _line_of(error, path.absolute())
        where = str(path) if line is None else f"{path}, line {line}"
        what = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        kind = "" if isinstance(error, NetvladError) else f"{type(error).__name__}: "
        raise SettingsError(f"{where}: {kind}{what}") from error


def _line_of(error: BaseException, path: Path) -> int | None:
    """The last line of the file on the way to an error; None when it was not there."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == str(path)
    ]
    return lines[-1] if lines else None

"""A user's own model: a Python file that registers it, named as ``FILE.py`` or ``FILE.py:NAME``."""

import contextlib
import functools
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from netvlad.errors import NetvladError, SettingsError
from netvlad.models import ExternalModel
from netvlad.models.registering import RegisteredModel, registered_while
from netvlad.storage import fingerprint


def is_python_file(name: str) -> bool:
    """Whether ``name`` has the form of ``FILE.py`` or ``FILE.py:NAME``."""
    return name.endswith(".py") or ".py:" in name


def open_python_file(name: str) -> ExternalModel:
    """Run a Python file and build a model that it registers. The file is code: trust it first.

    It may import what lies beside it.

    Args:
        name: ``FILE.py``, or ``FILE.py:NAME`` where the file registers several.

    Returns:
        The model in evaluation mode.

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

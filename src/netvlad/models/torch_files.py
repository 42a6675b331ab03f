"""Reading files of ``torch.save`` without ever running what is in them."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def read_torch_file(
    path: Path,
    *,
    error: Callable[[str], Exception],
    allowed: Sequence[Callable[..., Any] | tuple[Callable[..., Any], str]] = (),
) -> Any:
    """Unpickle tensors, numbers, strings and containers; refuse everything else.

    Args:
        path: the file.
        error: the exception type to raise.
        allowed: further classes and functions that may occur, as
            ``torch.serialization.safe_globals`` takes them.

    Returns:
        What was saved, with all tensors on the CPU.

    Raises:
        error: the file cannot be read, is damaged, is no such file, or wants to run code.
    """
    if path.is_dir():
        raise error(f"{path}: is a folder, not a file of weights")
    try:
        path.open("rb").close()
    except OSError as trouble:
        raise error(f"{path}: cannot be read: {trouble.strerror or trouble}") from trouble
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as trouble:
        if "Unsupported global" in str(trouble) or "GLOBAL" in str(trouble):
            raise error(
                f"{path}: refused, because it asks to run code ({_named_global(trouble)}) "
                "instead of holding tensors only"
            ) from trouble
        raise error(f"{path}: is not a file of torch.save, or is damaged") from trouble
    except Exception as trouble:
        # Damaged files surface as EOFError, OSError, RuntimeError, KeyError, ... from inside torch.
        raise error(f"{path}: is not a file of torch.save, or is damaged") from trouble


def _named_global(trouble: pickle.UnpicklingError) -> str:
    """The function or class that torch refused, out of its long explanation."""
    _, found, rest = str(trouble).partition("GLOBAL ")
    return rest.split()[0].strip("`'\".,") if found and rest.split() else "an unknown function"

"""Names that a package offers without importing them before they are used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def offered(
    package: str, names_of: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    torch takes two seconds to import and scipy's statistics one, but ``netvlad --help`` and
    ``netvlad locate`` should not wait for what they do not use.

    Args:
        package: its ``__name__``.
        names_of: the names that each module gives.
    """
    home = {name: module for module, names in names_of.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    return getattribute, lambda: sorted(home)

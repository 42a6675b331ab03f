"""The matchers by name."""

from collections.abc import Callable, Mapping
from typing import Literal

from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.matching.features import Matcher
from netvlad.matching.sift import ROOT_SIFT
from netvlad.types import Reporter, silent

MatcherName = Literal["sift", "disk-lightglue", "aliked-lightglue"]

DEFAULT_MATCHER: MatcherName = "sift"


def _disk_lightglue(compute: Compute, report: Reporter) -> Matcher:
    # Here and below: what only learned matchers need is imported when one is asked for.
    from netvlad.matching.learned import load_disk_lightglue  # noqa: PLC0415

    return load_disk_lightglue(str(compute.torch_device()), report)


def _aliked_lightglue(compute: Compute, report: Reporter) -> Matcher:
    from netvlad.matching.learned import load_aliked_lightglue  # noqa: PLC0415

    return load_aliked_lightglue(str(compute.torch_device()), report)


MATCHERS: Mapping[str, Callable[[Compute, Reporter], Matcher]] = {
    "sift": lambda compute, report: ROOT_SIFT,
    "disk-lightglue": _disk_lightglue,
    "aliked-lightglue": _aliked_lightglue,
}
"""What loads each, given where to compute and who is told of downloads."""


def load_matcher(name: str, *, compute: Compute = Compute(), report: Reporter = silent) -> Matcher:
    """Make a matcher ready.

    Args:
        name: one of :data:`MATCHERS`.
        compute: where networks run.
        report: receives the progress of downloads.

    Raises:
        SettingsError: there is no matcher of that name, or its package is not installed.
        WeightsError: weights cannot be downloaded, or are not those of its networks.
    """
    return MATCHERS[_checked(name)](compute, report)


def matcher_name(rerank: bool | str) -> str | None:
    """Which matcher a setting asks for: None without re-ranking, RootSIFT for True.

    Raises:
        SettingsError: there is no matcher of that name.
    """
    if isinstance(rerank, str):
        return _checked(rerank)
    return DEFAULT_MATCHER if rerank else None


def _checked(name: str) -> str:
    if name not in MATCHERS:
        raise SettingsError(f"unknown matcher {name!r}; there are {', '.join(MATCHERS)}")
    return name

"""The matchers by name."""

from typing import Literal

from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.matching.features import Matcher
from netvlad.matching.sift import ROOT_SIFT
from netvlad.types import Reporter, silent

MatcherName = Literal["sift", "xfeat", "xfeat-lighterglue", "disk-lightglue", "aliked-lightglue"]

DEFAULT_MATCHER: MatcherName = "sift"


LEARNED: tuple[MatcherName, ...] = (
    "xfeat",
    "xfeat-lighterglue",
    "disk-lightglue",
    "aliked-lightglue",
)

MATCHERS: tuple[MatcherName, ...] = (DEFAULT_MATCHER, *LEARNED)


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
    if _checked(name) == DEFAULT_MATCHER:
        return ROOT_SIFT
    # What only learned matchers need is imported when one is asked for.
    from netvlad.matching.learned import load_learned  # noqa: PLC0415

    return load_learned(name, str(compute.torch_device()), report)


def matcher_name(rerank: bool | str) -> str | None:
    """Which matcher a setting asks for: None for False, RootSIFT for True.

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

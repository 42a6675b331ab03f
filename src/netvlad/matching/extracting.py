"""Local features of photo files."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from netvlad.compute import Compute
from netvlad.errors import ImageError
from netvlad.images import read_image
from netvlad.matching.features import LocalFeatures, Matcher

_AHEAD = 4


def features_of(matcher: Matcher, path: Path) -> LocalFeatures:
    """The features of one photo.

    Raises:
        ImageError: the file is missing or is not a readable photo.
    """
    return matcher.extract(read_image(path, resize=matcher.max_side))


def features_of_all(
    matcher: Matcher, paths: Iterable[Path | None], compute: Compute = Compute()
) -> Iterator[LocalFeatures | None]:
    """The features of photos in their order; None for no path, and for one that cannot be read."""

    def found(path: Path | None) -> LocalFeatures | None:
        try:
            return None if path is None else features_of(matcher, path)
        except ImageError:
            return None

    with ThreadPoolExecutor(max(1, compute.threads)) as pool:
        waiting: deque[Future[LocalFeatures | None]] = deque()
        for path in paths:
            waiting.append(pool.submit(found, path))
            if len(waiting) > _AHEAD * max(1, compute.threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

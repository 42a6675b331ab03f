"""Local features of photo files."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

    def found(path: Path | None) -> NDArray[np.uint8] | LocalFeatures | None:
        try:
            pixels = None if path is None else read_image(path, resize=matcher.max_side)
        except ImageError:
            return None
        return pixels if pixels is None or not matcher.concurrent else matcher.extract(pixels)

    with ThreadPoolExecutor(max(1, compute.threads)) as pool:
        waiting: deque[Future[NDArray[np.uint8] | LocalFeatures | None]] = deque()
        todo = iter(paths)
        while True:
            room = _AHEAD * max(1, compute.threads) - len(waiting)
            waiting.extend(pool.submit(found, path) for path in islice(todo, room))
            if not waiting:
                return
            result = waiting.popleft().result()
            if isinstance(result, np.ndarray):
                result = matcher.extract(result)
            yield result

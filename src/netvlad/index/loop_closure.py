"""Has the camera been here before? Places seen again on the way, told by sequences of frames."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netvlad.compute import Compute
from netvlad.errors import SettingsError
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.registry import load_matcher
from netvlad.matching.rerank import verify_pair
from netvlad.models import ExternalModel, OneImage, PlaceModel
from netvlad.models.image_inputs import image_pixels

SPEEDS = (0.8, 0.9, 1.0, 1.1, 1.25)
"""How fast the camera may move, relative to when it was there before."""

LEAST_SCORE = 1.25
LEAST_EVIDENCE = 0.055
"""What a closure needs, see :class:`Closure`."""

_WINDOW = 20  # frames before and after that a similarity is compared with
_FEWEST = 20  # places below which nothing is compared
_APART = 12  # frames; nearer ones are the same place
_VERIFIED = (0, 2, 4, 6, 8)  # of the sequence, the frames counted from its end
_SLACK = (-1, 0, 1)  # frames by which a sequence may be off
_SPREAD, _AS_GOOD = 4, 0.05  # frames around the best end, and a difference in contrast
_UNKNOWN = -1.0  # the contrast of what was not compared: less than most


@dataclass(frozen=True)
class Closure:
    """A place that the camera has come back to.

    Attributes:
        frame: the number of the frame that saw it before, counted from 0.
        time: of that frame, in the camera's seconds.
        score: how far the sequence stands out: its mean contrast, plus how much that is above the
            contrast of the best sequence elsewhere. At least :data:`LEAST_SCORE`.
        evidence: the mean of √(E / n) over frames of the sequence, E the evidence of
            :func:`~netvlad.matching.rerank.verify_pair` and n the number of features. At least
            :data:`LEAST_EVIDENCE`.
    """

    frame: int
    time: float
    score: float
    evidence: float


@dataclass(eq=False)
class LoopCloser:
    """Tells, frame by frame, whether the camera is where it was before.

    A closure persists along the way: the last :attr:`length` frames are compared with as many
    earlier ones, at several speeds, each by how far its similarity stands out from that to the
    frames around it (SeqSLAM, Milford and Wyeth, ICRA 2012: local contrast enhancement and
    sequences). The best sequence must beat every other, and local features of its frames must
    agree.

    Give frames that are about as far apart as places are to be told apart: one a second or a
    metre, not thirty a second.

    Example:
        >>> import netvlad, numpy
        >>> frames = numpy.random.default_rng(0).integers(0, 256, (60, 96, 128, 3), numpy.uint8)
        >>> closer = LoopCloser(netvlad.load_model("efficientnet-lite0-avg"))
        >>> way = [*range(60), *range(60)]
        >>> found = [closer.see(frames[n], time=float(t)) for t, n in enumerate(way)]
        >>> any(found[:60]), found[-1].frame
        (False, 59)

    Attributes:
        model: describes the frames.
        exclude_last_s: what was seen within so many seconds is not "before".
        length: frames of a sequence.
        compute: where and how.
    """

    model: PlaceModel | ExternalModel
    exclude_last_s: float = 30.0
    length: int = 20
    compute: Compute = Compute()
    _matcher: Matcher = field(init=False)
    _times: list[float] = field(default_factory=list)
    _features: list[LocalFeatures] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.length < 2 or self.exclude_last_s < 0:
            raise SettingsError(
                f"length is {self.length} and exclude_last_s is {self.exclude_last_s:g}; at least "
                "2 frames and 0 seconds are needed"
            )
        self.model = self.compute.place(self.model)
        self._matcher = load_matcher("sift")
        self._rows = np.empty((256, self.model.descriptor_dim), np.float32)
        # Of the last frames, the contrast with every place that was "before" then.
        self._contrasts: deque[NDArray[np.float32]] = deque(maxlen=self.length)

    def __len__(self) -> int:
        """How many frames were seen."""
        return len(self._times)

    def see(self, frame: OneImage, *, time: float | None = None) -> Closure | None:
        """Take the next frame in.

        Args:
            frame: a path, a Pillow image, (H, W, 3) uint8 numpy or (3, H, W) uint8 torch.
            time: the camera's seconds; None is one after the last frame's.

        Returns:
            Where the camera has been before, if it has.

        Raises:
            ImageError: the file cannot be used.
            ModelError: the pixels cannot.
            SettingsError: time runs backwards.
        """
        last = self._times[-1] if self._times else -1.0
        now = last + 1 if time is None else float(time)
        if not now >= last:
            raise SettingsError(f"time is {now:g} after {last:g}; give frames in their order")
        descriptor = self.model.describe(frame)
        features = self._matcher.extract(image_pixels(frame, resize=self._matcher.max_side))
        before = int(np.searchsorted(self._times, now - self.exclude_last_s, side="right"))
        self._contrasts.append(contrast(self._rows[:before] @ descriptor))
        count = len(self._times)
        if count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[count] = descriptor
        self._times.append(now)
        self._features.append(features)
        scores = sequence_scores(self._contrasts) if len(self._contrasts) == self.length else None
        if scores is None or not len(scores) or not np.isfinite(scores).any():
            return None
        best = int(scores.argmax())
        elsewhere = np.abs(np.arange(len(scores)) - best) > _APART
        # Where there is nothing else, nothing can be told from it.
        others = scores[elsewhere & np.isfinite(scores)]
        score = 2 * scores[best] - others.max() if len(others) else -np.inf
        if score < LEAST_SCORE:
            return None
        evidence = self._evidence(best)
        if evidence < LEAST_EVIDENCE:
            return None
        # The best of several speeds ends a few frames off; the mean of those as good does not.
        near = np.arange(max(best - _SPREAD, 0), min(best + _SPREAD + 1, len(scores)))
        weights = np.exp((scores[near] - scores[best]) / _AS_GOOD)
        place = round(float(weights @ near / weights.sum()))
        return Closure(place, self._times[place], float(score), evidence)

    def _evidence(self, place: int) -> float:
        roots = []
        for back in _VERIFIED[: self.length]:
            ours = self._features[-1 - back]
            theirs = [place - back + slack for slack in _SLACK]
            found = [
                verify_pair(ours, self._features[there], self._matcher).evidence
                for there in theirs
                if there >= 0
            ]
            roots.append(np.sqrt(max(found, default=0.0) / max(len(ours), 1)))
        return float(np.mean(roots))


def contrast(similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each similarity stands out from those around it.

    (s − mean) / (spread + half the spread of all), mean and spread of the 41 around it: the local
    contrast enhancement of SeqSLAM. At either end the list is continued by its mirror image.

    Args:
        similarities: (a,) of a frame with earlier ones, in their order.

    Returns:
        (a,) float32; −1 where fewer than 20 were compared.
    """
    if len(similarities) < _FEWEST:
        return np.full(len(similarities), _UNKNOWN, np.float32)
    s = np.asarray(similarities, np.float64)
    mirrored = np.pad(s, min(_WINDOW, len(s) - 1), mode="reflect")
    window = len(mirrored) - len(s) + 1
    sums, squares = (
        np.convolve(values, np.ones(window), mode="valid")
        for values in (mirrored, np.square(mirrored))
    )
    mean = sums / window
    spread = np.sqrt(np.maximum(squares / window - np.square(mean), 0.0))
    standing: NDArray[np.float32] = ((s - mean) / (spread + s.std() / 2 + 1e-9)).astype(np.float32)
    return standing


def sequence_scores(contrasts: "deque[NDArray[np.float32]]") -> NDArray[np.float64]:
    """The mean contrast of the best sequence that ends at each place.

    Args:
        contrasts: of L frames, the last one last; each with the places that were before it.

    Returns:
        (a,) for the a places before the last frame; −inf where no sequence fits in.
    """
    count, length = len(contrasts[-1]), len(contrasts)
    padded = np.full((length, count), _UNKNOWN)
    for back, row in enumerate(reversed(contrasts)):
        padded[back, : min(len(row), count)] = row[:count]
    best = np.full(count, -np.inf)
    steps = np.arange(length)
    for speed in SPEEDS:
        back = np.rint(steps * speed).astype(int)
        first = int(back[-1])
        if first >= count:
            continue
        ends = np.arange(first, count)
        total = np.zeros(len(ends))
        for step in steps:
            total += padded[step, ends - back[step]]
        best[first:] = np.maximum(best[first:], total / length)
    return best

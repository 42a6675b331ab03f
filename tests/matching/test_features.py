import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netvlad.errors import ImageError
from netvlad.matching import cache
from netvlad.matching.cache import FeatureCache
from netvlad.matching.features import LocalFeatures, Matcher
from netvlad.matching.sift import MAX_POINTS, MAX_SIDE, extract


def blocks(seed: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """Random grey rectangles over each other: corners everywhere, none like another."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width), 128, dtype=np.uint8)
    for _ in range(height * width // 150):
        top, left = random.integers(0, height), random.integers(0, width)
        tall, wide = random.integers(4, 20, 2)
        picture[top : top + tall, left : left + wide] = random.integers(0, 256)
    return np.repeat(picture[:, :, None], 3, axis=2)


def photo(folder: Path, seed: int) -> Path:
    path = folder / f"{seed}.png"
    Image.fromarray(blocks(seed)).save(path)
    return path


def same(first: LocalFeatures, second: LocalFeatures) -> bool:
    return (
        np.array_equal(first.points, second.points)
        and np.array_equal(first.descriptors, second.descriptors)
        and first.size == second.size
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The photos whose features were computed rather than remembered."""
    calls: list[Path] = []
    real = cache.features_of

    def counting(matcher: Matcher, path: Path) -> LocalFeatures:
        calls.append(path)
        return real(matcher, path)

    monkeypatch.setattr(cache, "features_of", counting)
    return calls


def test_extract_gives_upright_root_sift_within_the_picture() -> None:
    found = extract(blocks(0))
    assert len(found) > 50
    assert found.size == (120, 160)
    assert found.points.dtype == np.float32
    assert (found.points >= 0).all()
    assert (found.points < (160, 120)).all()
    # RootSIFT: the squares of the values are an L1-normalised histogram.
    sums = np.square(found.descriptors / 255.0).sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, atol=0.05)
    # Upright: no point appears twice for having two orientations at one size, and a picture on its
    # side has other descriptors.
    turned = extract(np.rot90(blocks(0)))
    pairs = found.descriptors[:50].astype(float) @ turned.descriptors.T.astype(float)
    assert np.median(pairs.max(axis=1)) < 0.97 * 255**2


def test_extract_shrinks_large_pictures_and_limits_points() -> None:
    large = extract(blocks(1, 900, 1200))
    assert max(large.size) == MAX_SIDE
    assert large.size == (240, 320)
    assert 0 < len(large) <= MAX_POINTS


@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 2000, 3), (15, 15, 3), (200, 300, 3)])
def test_blank_and_tiny_pictures_have_no_features(shape: tuple[int, int, int]) -> None:
    found = extract(np.full(shape, 90, dtype=np.uint8))
    assert len(found) == 0
    assert found.points.shape == (0, 2)
    assert found.descriptors.shape == (0, 128)


@pytest.mark.parametrize("on_disk", [True, False])
def test_cache_computes_once_and_again_when_the_file_changes(
    tmp_path: Path, counted: list[Path], on_disk: bool
) -> None:
    cache = FeatureCache(tmp_path / "cache" if on_disk else None)
    path = photo(tmp_path, 0)
    first, second = cache.get(path), cache.get(path)
    assert len(counted) == 1
    assert same(first, second)
    Image.fromarray(blocks(7)).save(path)
    os.utime(path, ns=(0, 12_345))
    changed = cache.get(path)
    assert len(counted) == 2
    assert same(changed, extract(blocks(7)))


def test_another_process_finds_what_is_on_disk(tmp_path: Path, counted: list[Path]) -> None:
    path = photo(tmp_path, 0)
    first = FeatureCache(tmp_path / "cache").get(path)
    assert same(FeatureCache(tmp_path / "cache").get(path), first)
    assert len(counted) == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_computed_again_and_mended(
    tmp_path: Path, counted: list[Path], damage: str
) -> None:
    path = photo(tmp_path, 0)
    cache = FeatureCache(tmp_path / "cache")
    first = cache.get(path)
    (file,) = (tmp_path / "cache").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    broken = {"cut": content[:-100], "flipped": content, "empty": b"", "text": b"no archive"}
    file.write_bytes(bytes(broken[damage]))
    assert same(cache.get(path), first)
    assert same(cache.get(path), first)
    assert len(counted) == 2


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_limit_keeps_what_was_used_last(
    tmp_path: Path, counted: list[Path], on_disk: bool
) -> None:
    paths = [photo(tmp_path, seed) for seed in range(6)]
    sizes = [extract(blocks(seed)).size_bytes for seed in range(6)]
    limit = 4 * max(sizes)
    cache = FeatureCache(tmp_path / "cache" if on_disk else None, limit_bytes=limit)
    for path in paths[:3]:
        cache.get(path)
    if on_disk:  # coarse clocks: make the order of use plain
        for age, path in enumerate(paths[:3]):
            _of(cache, path, tmp_path, age)
    cache.get(paths[0])
    for path in paths[3:]:
        cache.get(path)
    counted.clear()
    cache.get(paths[0])
    assert counted == []
    cache.get(paths[1])
    assert counted == [paths[1]]
    if on_disk:
        files = list((tmp_path / "cache").iterdir())
        assert sum(file.stat().st_size for file in files) <= limit


def _of(cache: FeatureCache, path: Path, scratch: Path, age: int) -> None:
    """Date the cache's file of ``path`` back, found by what a cache of it alone calls it."""
    alone = scratch / "alone" / path.stem
    FeatureCache(alone).get(path)
    (name,) = (file.name for file in alone.iterdir())
    assert cache.folder is not None
    os.utime(cache.folder / name, (1000 + age, 1000 + age))


def test_what_a_killed_writer_left_is_swept_up(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    old, new = folder / ".a.npz.x.tmp", folder / ".b.npz.y.tmp"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    FeatureCache(folder).get(photo(tmp_path, 0))
    assert not old.exists()
    assert new.exists()


def test_without_room_on_the_disk_the_work_goes_on(tmp_path: Path, counted: list[Path]) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    cache = FeatureCache(blocked)
    path = photo(tmp_path, 0)
    assert same(cache.get(path), cache.get(path))
    assert len(counted) == 2


def test_unreadable_photos_are_named(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    with pytest.raises(ImageError, match="does not exist"):
        cache.get(tmp_path / "gone.jpg")
    (tmp_path / "text.jpg").write_text("not a photo")
    with pytest.raises(ImageError, match=r"text\.jpg"):
        cache.get(tmp_path / "text.jpg")

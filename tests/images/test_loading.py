import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from netvlad.errors import SettingsError
from netvlad.images import Batch, Unreadable, load_batches, loading, read_image
from netvlad.types import ImageSet

SIZES = [(20, 30), (30, 20), (20, 30), (16, 16), (20, 30), (30, 20), (20, 30), (16, 16), (20, 30)]


@pytest.fixture
def mixed(tmp_path):
    """Nine images of three sizes; number 4 is text."""
    random = np.random.default_rng(0)
    for i, (height, width) in enumerate(SIZES):
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_text("no image")
    return ImageSet(tmp_path, tuple(f"{i}.png" for i in range(len(SIZES))))


def flat(results):
    return [
        (result.index, result.error.reason)
        if isinstance(result, Unreadable)
        else (result.indices.tolist(), result.images.shape)
        for result in results
    ]


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_batches_hold_one_size_and_do_not_depend_on_threads(mixed, threads):
    results = list(load_batches(mixed, batch_size=3, threads=threads))
    assert flat(results) == [
        (4, "is not an image that can be read"),
        ([0, 2, 6], (3, 3, 20, 30)),
        ([1, 5], (2, 3, 30, 20)),
        ([3, 7], (2, 3, 16, 16)),
        ([8], (1, 3, 20, 30)),
    ]
    for batch in results:
        if isinstance(batch, Batch):
            assert batch.images.dtype == torch.uint8
            assert batch.images.is_contiguous(memory_format=torch.channels_last)
            assert batch.indices.dtype == np.int64
            for index, image in zip(batch.indices, batch.images, strict=True):
                expected = read_image(mixed.path(index)).transpose(2, 0, 1)
                np.testing.assert_array_equal(image.numpy(), expected)


@pytest.mark.parametrize("threads", [0, 3])
def test_chosen_indices_keep_their_order_and_may_repeat(mixed, threads):
    results = load_batches(mixed, indices=[8, 0, 8, 2, 0], batch_size=2, threads=threads)
    assert [batch.indices.tolist() for batch in results] == [[8, 0], [8, 2], [0]]


@pytest.mark.parametrize("threads", [0, 3])
def test_nothing_of_a_section_waits_for_the_next(mixed, threads):
    results = load_batches(
        mixed, indices=[0, 1, 4, 2, 5, 6, 8], sections=[4, 0, 3], batch_size=3, threads=threads
    )
    assert [entry[0] for entry in flat(results)] == [4, [0, 2], [1], [5], [6, 8]]


def test_sections_that_do_not_add_up_are_refused_at_once(mixed):
    with pytest.raises(SettingsError, match="sections of 3 images for 9 to load"):
        load_batches(mixed, batch_size=2, sections=[1, 2])


def test_resize_makes_one_size(mixed):
    results = flat(load_batches(mixed, batch_size=100, resize=(8, 12), threads=2))
    assert results[1] == ([0, 1, 2, 3, 5, 6, 7, 8], (8, 3, 8, 12))


def test_images_too_small_for_the_model(mixed):
    results = flat(load_batches(mixed, batch_size=100, minimum_size=17))
    assert results[0] == (3, "is 16×16 pixels (height×width); the model needs at least 17×17")
    assert [entry[0] for entry in results] == [3, 4, 7, [0, 2, 6, 8], [1, 5]]


@pytest.mark.parametrize("threads", [0, 2])
def test_nothing_to_load(mixed, threads):
    assert list(load_batches(mixed, indices=[], batch_size=2, threads=threads)) == []


@pytest.mark.parametrize("threads", [0, 4])
def test_few_images_wait_when_all_sizes_differ(tmp_path, threads):
    for i in range(60):
        Image.new("L", (10 + i, 10)).save(tmp_path / f"{i}.png")
    Image.new("L", (10, 10)).save(tmp_path / "3.png")
    images = ImageSet(tmp_path, tuple(f"{i}.png" for i in range(60)))
    seen: list[int] = []
    for batch in load_batches(images, batch_size=4, threads=threads):
        # Batch k is handed out when at most 8 × 4 wait: image 33 + k is not needed before.
        seen += batch.indices.tolist()
        assert len(seen) >= batch.indices.max() + 1 - 32
    assert sorted(seen) == list(range(60))
    assert seen[:3] == [0, 3, 1]


def test_few_bytes_wait(mixed, monkeypatch):
    monkeypatch.setattr(loading, "_WAITING_BYTES", 4000)
    results = flat(load_batches(mixed, batch_size=9))
    assert all(np.prod(entry[1]) <= 2 * 4000 for entry in results if isinstance(entry[0], list))
    batches = [entry[0] for entry in results if isinstance(entry[0], list)]
    assert sorted(index for batch in batches for index in batch) == [0, 1, 2, 3, 5, 6, 7, 8]


def test_only_about_a_batch_is_decoded_ahead(tmp_path, monkeypatch):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    images = ImageSet(tmp_path, ("a.png",) * 500)
    count = 0
    lock = threading.Lock()

    def counting(path, resize=None):
        nonlocal count
        with lock:
            count += 1
        return read_image(path, resize=resize)

    monkeypatch.setattr(loading, "read_image", counting)
    results = load_batches(images, batch_size=10, threads=2)
    next(results)
    time.sleep(0.1)
    assert count <= 10 + (10 + 2 * 2)
    results.close()


def test_closing_stops_the_threads(tmp_path, monkeypatch):
    def slow(path, resize=None):
        time.sleep(0.02)
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(loading, "read_image", slow)
    images = ImageSet(tmp_path, ("a.png",) * 1000)
    results = load_batches(images, batch_size=2, threads=2)
    next(results)
    start = time.perf_counter()
    results.close()
    assert time.perf_counter() - start < 0.5
    deadline = time.perf_counter() + 2
    while any(thread.name.startswith("netvlad-images") for thread in threading.enumerate()):
        assert time.perf_counter() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"batch_size": 1, "threads": -1},
        {"batch_size": 1, "resize": (0, 1)},
        {"batch_size": 1, "indices": [9]},
        {"batch_size": 1, "indices": [-1]},
    ],
)
def test_settings_are_checked_at_the_call(mixed, settings):
    with pytest.raises(SettingsError):
        load_batches(mixed, **settings)

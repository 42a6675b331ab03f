import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from netvlad import storage
from netvlad.compute import Compute
from netvlad.descriptors import passes
from netvlad.errors import StorageError
from netvlad.models import ModelSpec, build_model
from netvlad.trunk_cache import cache_entries, clear_cache, open_trunk_cache, store
from netvlad.types import ImageSet, Note, Progress


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(ModelSpec(arch="vgg16", pooling="avg"), weights=None)


@pytest.fixture
def images(tmp_path):
    """Eleven images, in sections of four; number 5 is text, number 10 is missing."""
    random = np.random.default_rng(0)
    for index in range(10):
        pixels = random.integers(0, 256, (32, 32 + 16 * (index % 2), 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    (tmp_path / "5.png").write_text("no image")
    return ImageSet(tmp_path, tuple(f"{i}.png" for i in range(11)))


@pytest.fixture(autouse=True)
def small_sections(monkeypatch):
    for module in (passes, store):
        monkeypatch.setattr(module, "SECTION", 4)


def maps(cache):
    return {i: cache.read(np.array([i])) for i in range(11) if cache.offsets[i] >= 0}


def assert_equal_maps(one, other):
    assert one.keys() == other.keys()
    for index in one:
        assert torch.equal(one[index], other[index]), index


def test_maps_are_the_trunks_output_in_half_precision(model, images, tmp_path):
    cache = open_trunk_cache(model, images, tmp_path / "cache", compute=Compute(batch_size=2))
    assert cache.dtype == torch.float16
    assert [image.index for image in cache.unreadable] == [5, 10]
    assert cache.unreadable[0].error.reason == "is not an image that can be read"
    for index, kept in maps(cache).items():
        with Image.open(images.path(index)) as picture:
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
        expected = model.trunk(pixels)
        assert kept.shape == expected.shape == (1, 512, 2, 2 + index % 2)
        assert kept.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(kept.float(), expected, rtol=1e-3, atol=1e-4)
    several = cache.read(np.array([8, 0, 4]))
    assert torch.equal(several[1], cache.read(np.array([0]))[0])
    assert cache.size_bytes == sum(kept.nbytes for kept in maps(cache).values())


def test_a_second_time_nothing_is_computed(model, images, tmp_path, monkeypatch):
    first = open_trunk_cache(model, images, tmp_path / "cache")
    monkeypatch.setattr(type(model), "trunk", None)
    again = open_trunk_cache(model, images, tmp_path / "cache")
    assert_equal_maps(maps(first), maps(again))


@pytest.mark.parametrize("change", ["weights", "resize", "touched", "names", "cut", "precision"])
def test_what_the_output_depends_on_makes_another_cache(images, tmp_path, change):
    torch.manual_seed(0)
    model = build_model(ModelSpec(arch="vgg16", pooling="avg"), weights=None)
    first = open_trunk_cache(model, images, tmp_path / "cache")
    precision = "32"
    if change == "weights":
        with torch.no_grad():
            next(model.encoder.parameters())[0, 0, 0, 0] += 1e-3
    elif change == "resize":
        model.spec = replace(model.spec, resize=(32, 32))
    elif change == "touched":
        Image.new("RGB", (32, 32)).save(images.path(0))
    elif change == "names":
        images = images.subset([1, 0, *range(2, 11)])
    elif change == "cut":
        torch.manual_seed(0)
        model = build_model(ModelSpec(arch="vgg16", pooling="avg", cut=17), weights=None)
    else:
        precision = "bf16"
    other = open_trunk_cache(
        model, images, tmp_path / "cache", compute=Compute(precision=precision)
    )
    assert other.folder != first.folder
    assert len(cache_entries(tmp_path / "cache")) == 2


def test_what_it_does_not_depend_on_leaves_it(model, images, tmp_path):
    first = open_trunk_cache(model, images, tmp_path / "cache", compute=Compute(batch_size=2))
    with torch.no_grad():
        list(model.encoder.parameters())[-1].add_(1)  # the tail's
    again = open_trunk_cache(
        model, images, tmp_path / "cache", compute=Compute(batch_size=7, threads=0)
    )
    assert again.folder == first.folder


@pytest.mark.parametrize("after", [1, 4, 7, 9])
def test_a_stopped_build_goes_on_and_ends_the_same(model, images, tmp_path, after):
    whole = open_trunk_cache(model, images, tmp_path / "whole", compute=Compute(batch_size=2))

    class StoppedError(Exception):
        pass

    def stop(event):
        if isinstance(event, Progress) and event.done >= after:
            raise StoppedError

    with pytest.raises(StoppedError):
        open_trunk_cache(
            model, images, tmp_path / "cache", compute=Compute(batch_size=2), report=stop
        )
    (entry,) = cache_entries(tmp_path / "cache")
    assert not entry.complete
    events = []
    resumed = open_trunk_cache(
        model, images, tmp_path / "cache", compute=Compute(batch_size=2), report=events.append
    )
    kept = 4 * (after // 4)
    assert any(getattr(e, "text", "").endswith(f"after {kept} of 11 images") for e in events) == (
        kept > 0
    )
    assert min(e.done for e in events if isinstance(e, Progress)) > kept
    assert_equal_maps(maps(resumed), maps(whole))
    assert [u.index for u in resumed.unreadable] == [5, 10]
    assert (resumed.folder / "features.bin").read_bytes() == (
        whole.folder / "features.bin"
    ).read_bytes()


def test_a_cut_off_journal_and_a_longer_file_are_taken_back(model, images, tmp_path):
    whole = open_trunk_cache(model, images, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        open_trunk_cache(model, images, tmp_path / "cache", report=lambda e: interrupt(e, done=8))
    (entry,) = cache_entries(tmp_path / "cache")
    journal = entry.folder / ".journal"
    journal.write_bytes(journal.read_bytes()[:-5])
    with (entry.folder / ".features.partial").open("ab") as file:
        file.write(b"half a map")
    resumed = open_trunk_cache(model, images, tmp_path / "cache")
    assert_equal_maps(maps(resumed), maps(whole))


def interrupt(event, done):
    if isinstance(event, Progress) and event.done >= done:
        raise KeyboardInterrupt


def test_too_little_space_is_said_with_the_figure_before_anything_is_written(
    model, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: type("", (), {"free": 1000}))
    # Eleven maps of 512 × 2 × 2 half-precision values.
    with pytest.raises(StorageError, match=r"11 images needs 45\.06 kB but only 1\.00 kB"):
        open_trunk_cache(model, images, tmp_path / "cache")
    (entry,) = cache_entries(tmp_path / "cache")
    assert (entry.folder / ".features.partial").stat().st_size == 0


@pytest.mark.parametrize("keep", [True, False])
def test_a_disk_that_fills_up(model, images, tmp_path, monkeypatch, keep):
    write, calls = store.TrunkCacheWriter.write, []

    def full(self, indices, results):
        calls.append(1)
        if len(calls) == 3:
            raise self._trouble(OSError(28, "No space left on device"))
        write(self, indices, results)

    monkeypatch.setattr(store.TrunkCacheWriter, "write", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        open_trunk_cache(
            model, images, tmp_path / "cache", compute=Compute(batch_size=2), keep_unfinished=keep
        )
    assert len(cache_entries(tmp_path / "cache")) == keep
    monkeypatch.setattr(store.TrunkCacheWriter, "write", write)
    assert len(maps(open_trunk_cache(model, images, tmp_path / "cache"))) == 9


def test_values_beyond_half_precision_are_kept_as_bfloat16(images, tmp_path):
    torch.manual_seed(0)
    model = build_model(ModelSpec(arch="vgg16", pooling="avg"), weights=None)
    with torch.no_grad():
        model.encoder[0].weight *= 1e9
    notes = []
    cache = open_trunk_cache(model, images, tmp_path / "cache", report=notes.append)
    assert cache.dtype == torch.bfloat16
    assert any("bfloat16" in getattr(note, "text", "") for note in notes)
    with Image.open(images.path(0)) as picture:
        expected = model.trunk(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])
    assert expected.max() > 65504
    torch.testing.assert_close(cache.read(np.array([0])).float(), expected, rtol=1e-2, atol=1e3)


def test_a_damaged_cache_is_built_again(model, images, tmp_path):
    first = open_trunk_cache(model, images, tmp_path / "cache")
    expected = maps(first)
    with (first.folder / "features.bin").open("ab") as file:
        file.write(b"x")
    again = open_trunk_cache(model, images, tmp_path / "cache")
    assert_equal_maps(maps(again), expected)


def test_two_runs_share_one_build(model, images, tmp_path):
    """The second waits for the first, and computes nothing."""
    notes, results, started = [], [], threading.Event()

    def first_report(event):
        started.set()

    def second():
        started.wait()
        results.append(
            open_trunk_cache(
                model,
                images,
                tmp_path / "cache",
                compute=Compute(batch_size=2),
                report=notes.append,
            )
        )

    thread = threading.Thread(target=second)
    thread.start()
    first = open_trunk_cache(
        model, images, tmp_path / "cache", compute=Compute(batch_size=2), report=first_report
    )
    thread.join()
    assert_equal_maps(maps(first), maps(results[0]))
    assert not any(isinstance(event, Progress) for event in notes)
    assert all(isinstance(event, Note) for event in notes)


def test_clearing_takes_a_cache_away_but_not_from_its_reader(model, images, tmp_path):
    cache = open_trunk_cache(model, images, tmp_path / "cache")
    expected = {index: kept.clone() for index, kept in maps(cache).items()}
    (entry,) = cache_entries(tmp_path / "cache")
    assert entry.complete
    assert entry.manifest["images"] == 11
    assert entry.size_bytes >= cache.size_bytes
    clear_cache(entry)
    assert cache_entries(tmp_path / "cache") == []
    assert_equal_maps(maps(cache), expected)


def test_a_cache_being_built_elsewhere_is_not_cleared(model, images, tmp_path):
    open_trunk_cache(model, images, tmp_path / "cache")
    (entry,) = cache_entries(tmp_path / "cache")
    code = (
        "import sys, time, pathlib\n"
        "from netvlad.storage import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'x'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(entry.folder)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match="another process is building a trunk cache"):
            clear_cache(entry)
        holder.kill()
    clear_cache(entry)

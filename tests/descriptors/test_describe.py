from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import netvlad
from netvlad import storage
from netvlad.compute import Compute
from netvlad.descriptors import passes
from netvlad.errors import ImageError, NetvladError, SettingsError, StorageError
from netvlad.models import ModelSpec, build_model
from netvlad.types import Note, Progress


@pytest.fixture(scope="module")
def model():
    return build_model(ModelSpec(arch="efficientnet-lite0", pooling="avg"), weights="imagenet")


@pytest.fixture(scope="module")
def images(tiny_data):
    return netvlad.open_dataset("csv", tiny_data, "test").queries


def test_rows_are_what_the_model_says_of_each_image(model, images):
    described = netvlad.describe(model, images, compute=Compute(batch_size=5, threads=2))
    assert described.values.shape == (12, 112)
    assert described.readable.all()
    for index in (0, 7):
        alone = model.describe(images.path(index))
        np.testing.assert_allclose(described.values[index], alone, atol=1e-5)


def test_mixed_sizes_keep_their_order(model, images, tmp_path):
    for index in range(6):
        with Image.open(images.path(index)) as picture:
            picture.resize((60 + 20 * (index % 3), 50)).save(tmp_path / f"{index}.png")
    mixed = netvlad.ImageSet(tmp_path, tuple(f"{i}.png" for i in range(6)))
    described = netvlad.describe(model, mixed, compute=Compute(batch_size=2))
    for index in range(6):
        alone = model.describe(mixed.path(index))
        np.testing.assert_allclose(described.values[index], alone, atol=1e-5)


def test_an_unusable_image_gets_a_zero_row_and_is_reported(model, images):
    events = []
    broken = replace(images, names=("gone.jpg", *images.names[1:]))
    described = netvlad.describe(model, broken, report=events.append)
    assert not described.readable[0]
    assert not described.values[0].any()
    assert described.readable[1:].all()
    (trouble,) = described.unreadable
    assert trouble.index == 0
    assert any(isinstance(e, Note) and "gone.jpg" in e.text for e in events)
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert (last.done, last.total) == (12, 12)


def test_half_precision_is_close_and_comes_back_whole(model, images):
    exact = netvlad.describe(model, images).values
    rough = netvlad.describe(model, images, compute=Compute(precision="bf16")).values
    assert rough.dtype == np.float32
    assert (exact * rough).sum(1).min() > 0.999


def test_the_model_stays_in_the_mode_it_was_in(model, images):
    model.train()
    netvlad.describe(model, images.subset([0]))
    assert model.training
    model.eval()


class StoppedError(Exception):
    pass


def stop_after(count):
    def report(event):
        if isinstance(event, Progress) and event.done >= count:
            raise StoppedError

    return report


@pytest.fixture
def small_sections(monkeypatch):
    monkeypatch.setattr(passes, "SECTION", 4)


@pytest.mark.parametrize(("bits", "dtype"), [("32", np.float32), ("16", np.float16)])
def test_descriptors_in_a_file_are_those_in_memory(model, images, tmp_path, bits, dtype):
    broken = replace(images, names=(*images.names[:11], "gone.jpg"))
    in_memory = netvlad.describe(model, broken)
    described = netvlad.describe(model, broken, output=tmp_path / "d.npy", storage=bits)
    assert isinstance(described.values, np.memmap)
    assert described.values.dtype == dtype
    np.testing.assert_array_equal(described.values, in_memory.values.astype(dtype))
    assert described.readable.tolist() == in_memory.readable.tolist() == [True] * 11 + [False]
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), described.values)
    assert sorted(f.name for f in tmp_path.iterdir()) == [".d.npy.lock", "d.json", "d.npy"]


@pytest.mark.usefixtures("small_sections")
@pytest.mark.parametrize("after", [1, 5, 8, 12])
def test_a_stopped_description_goes_on_and_ends_the_same(model, images, tmp_path, after):
    broken = replace(images, names=("gone.jpg", *images.names[1:]))
    whole = netvlad.describe(
        model, broken, output=tmp_path / "whole.npy", compute=Compute(batch_size=3)
    )
    output = tmp_path / "d.npy"
    with pytest.raises(StoppedError):
        netvlad.describe(
            model, broken, output=output, compute=Compute(batch_size=3), report=stop_after(after)
        )
    assert not output.exists()
    events = []
    resumed = netvlad.describe(
        model, broken, output=output, compute=Compute(batch_size=3), report=events.append
    )
    kept = 4 * (after // 4)
    assert all(event.done > kept for event in events if isinstance(event, Progress))
    assert any(
        getattr(e, "text", "").endswith(f"resumed after {kept} of 12 images") for e in events
    ) == (kept > 0)
    assert output.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert [u.index for u in resumed.unreadable] == [u.index for u in whole.unreadable] == [0]
    assert "gone.jpg" in str(resumed.unreadable[0].error)


def test_finished_descriptors_are_opened_not_computed(model, images, tmp_path, monkeypatch):
    first = netvlad.describe(model, images, output=tmp_path / "d.npy")
    monkeypatch.setattr(passes, "load_batches", None)
    again = netvlad.describe(model, images, output=tmp_path / "d.npy")
    np.testing.assert_array_equal(first.values, again.values)


def test_descriptors_of_something_else_are_neither_used_nor_overwritten(model, images, tmp_path):
    output = tmp_path / "d.npy"
    netvlad.describe(model, images, output=output)
    before = output.read_bytes()
    for options in ({"storage": "16"}, {"compute": Compute(precision="bf16")}):
        with pytest.raises(StorageError, match=r"d\.npy: holds descriptors of another model"):
            netvlad.describe(model, images, output=output, **options)
    with pytest.raises(StorageError, match="name another file"):
        netvlad.describe(model, images.subset(range(11, -1, -1)), output=output)
    np.save(tmp_path / "mine.npy", np.zeros(3))
    with pytest.raises(StorageError):
        netvlad.describe(model, images, output=tmp_path / "mine.npy")
    assert output.read_bytes() == before


def test_where_descriptors_cannot_go(model, images, tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"ends in \.npy"):
        netvlad.describe(model, images, output=tmp_path / "d.bin")
    with pytest.raises(SettingsError, match="choose 32 or 16"):
        netvlad.describe(model, images, storage="8")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        netvlad.describe(model, images, output=tmp_path / "file" / "d.npy")
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    with pytest.raises(StorageError, match=r"d\.npy, of 12 rows, needs 5\.38 kB"):
        netvlad.describe(model, images, output=tmp_path / "d.npy")
    assert not (tmp_path / "d.npy").exists()


def test_no_images_make_an_empty_file(model, images, tmp_path):
    described = netvlad.describe(model, images.subset([]), output=tmp_path / "d.npy")
    assert described.values.shape == (0, 112)
    assert np.load(tmp_path / "d.npy").shape == (0, 112)


def test_images_by_whatever_names_them(model, tiny_data, tmp_path):
    folder = tiny_data / "test"
    files = sorted(folder.iterdir())[:5]
    expected = netvlad.describe(model, files).values
    (tmp_path / "few").mkdir()
    for file in files[1:]:
        (tmp_path / "few" / file.name).symlink_to(file)
    for several in (
        [str(file) for file in files],
        (file for file in files),
        tuple(files),
        [files[0], tmp_path / "few"],
        iter([str(files[0]), str(tmp_path / "few")]),
    ):
        described = netvlad.describe(model, several)
        np.testing.assert_allclose(described.values, expected, atol=1e-6)
    single = netvlad.describe(model, str(files[0]))
    # Batches of another size round differently.
    np.testing.assert_allclose(single.values, expected[:1], atol=1e-6)
    in_folder = netvlad.describe(model, tmp_path / "few")
    np.testing.assert_allclose(in_folder.values, expected[1:], atol=1e-6)
    assert len(netvlad.describe(model, []).values) == 0


def test_a_broken_file_among_others_costs_its_own_row_alone(model, tiny_data, tmp_path):
    good = sorted((tiny_data / "test").iterdir())[:2]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    notes = []
    several = [good[0], tmp_path / "broken.jpg", good[1], tmp_path / "gone.jpg"]
    described = netvlad.describe(model, several, report=notes.append)
    assert described.readable.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(
        described.values[described.readable], netvlad.describe(model, good).values
    )
    notes = []
    rows = model.describe(iter(several), report=notes.append)
    assert np.isnan(rows[[1, 3]]).all()
    np.testing.assert_allclose(rows[[0, 2]], model.describe(good), atol=1e-6)
    assert [note.text.startswith("skipped ") for note in notes] == [True, True]
    assert "broken.jpg" in notes[0].text and "gone.jpg" in notes[1].text
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        model.describe(tmp_path / "broken.jpg")


@pytest.mark.parametrize(
    "wrong", [None, 5, b"a.jpg", {"a.jpg": 1}, {"a.jpg"}, [5], [b"a.jpg"], [None]]
)
def test_what_is_no_image_is_one_clear_line(model, wrong):
    for call in (netvlad.describe, type(model).describe):
        with pytest.raises(NetvladError) as caught:
            call(model, wrong)
        assert "give a" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, "efficientnet-lite0", torch.nn.Identity()])
def test_what_is_no_model_is_one_clear_line(wrong, tmp_path):
    with pytest.raises(NetvladError, match=r"netvlad\.load_model"):
        netvlad.describe(wrong, [tmp_path / "a.jpg"])


def test_a_folder_that_has_no_images_or_is_not_there(model, tmp_path):
    for wrong, words in (
        (tmp_path, "has no images"),
        (tmp_path / "gone", "no such file or folder"),
    ):
        with pytest.raises(NetvladError, match=words):
            netvlad.describe(model, wrong)


def test_what_is_no_record_of_how_to_compute_is_one_clear_line(model, images):
    with pytest.raises(SettingsError, match=r"compute is 'cpu'; give a netvlad\.Compute"):
        netvlad.describe(model, images, compute="cpu")

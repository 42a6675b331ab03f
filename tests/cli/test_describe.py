"""``netvlad describe``, in this process."""

import os
import shutil

import numpy as np
import pytest

from netvlad.cli.main import main
from netvlad.loading import load_model
from netvlad.models import ModelSpec, build_model
from netvlad.models.checkpoints import Checkpoint, write_checkpoint


@pytest.fixture
def photos(tiny_data, tmp_path, monkeypatch):
    """A working folder with ``photos/`` (three, one in a folder below) and ``more.jpg``."""
    source = sorted((tiny_data / "test").glob("*.jpg"))
    for photo, name in zip(source, ("b.jpg", "a.jpg", "below/c.jpg", "../more.jpg"), strict=False):
        target = tmp_path / "photos" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rows_and_names_agree_with_the_model(photos, capsys):
    (photos / "photos/notes.txt").write_text("no image")
    main(["describe", "photos", "more.jpg", "photos/a.jpg", "--output", "out/d.npy"])
    names = (photos / "out/d.txt").read_text().splitlines()
    assert names == ["photos/a.jpg", "photos/b.jpg", "photos/below/c.jpg", "more.jpg"]
    rows = np.load(photos / "out/d.npy")
    expected = load_model("efficientnet-lite0-avg").describe(names)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    said = capsys.readouterr()
    assert said.out.strip() == "out/d.npy: 4 photos × 112 float32, names in out/d.txt"
    assert "no --model: efficientnet-lite0 with average pooling" in said.err


def test_a_model_half_precision_and_another_file_of_names(photos, capsys):
    model = build_model(ModelSpec(arch="efficientnet-lite0", pooling="gem"), weights="imagenet")
    write_checkpoint(photos / "run", "e1", Checkpoint(model.spec, model.state_dict()))
    command = ["describe", "photos", "--model", "run", "--output", "d.npy", "--storage", "16"]
    main([*command, "--names", "names.lst"])
    rows = np.load(photos / "d.npy")
    assert rows.dtype == np.float16
    names = (photos / "names.lst").read_text().splitlines()
    np.testing.assert_allclose(rows, model.describe(names), atol=1e-3)
    assert "no --model" not in capsys.readouterr().err
    # Once more takes them from the file; another model does not overwrite them.
    main([*command, "--names", "names.lst"])
    assert "3 descriptors taken from d.npy" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["describe", "photos", "--output", "d.npy"])
    assert caught.value.code == 2
    assert "holds descriptors of another model" in capsys.readouterr().err
    assert not (photos / "d.txt").exists()


def test_photos_that_cannot_be_used_are_counted(photos, capsys):
    (photos / "photos/aa.jpg").write_bytes(b"broken")
    main(["describe", "photos"])
    rows = np.load(photos / "descriptors.npy")
    assert rows.any(axis=1).tolist() == [True, False, True, True]
    assert (photos / "descriptors.txt").read_text().splitlines()[1] == "photos/aa.jpg"
    said = capsys.readouterr()
    assert "1 photo could not be used; their rows are zero" in said.out
    assert "skipped photos/aa.jpg" in said.err
    with pytest.raises(SystemExit) as caught:
        main(["describe", "photos", "--strict"])
    assert caught.value.code == 1


def test_names_that_no_line_can_hold_are_left_out(photos, capsys):
    shutil.copy(photos / "more.jpg", photos / "photos/line\nbreak.jpg")
    try:
        (photos / "photos/a.jpg").rename(photos / os.fsdecode(b"photos/caf\xe9.jpg"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    with pytest.raises(SystemExit) as caught:
        main(["describe", "photos", "--strict"])
    assert caught.value.code == 1
    names = (photos / "descriptors.txt").read_text().splitlines()
    assert names == ["photos/b.jpg", "photos/below/c.jpg"]
    assert np.load(photos / "descriptors.npy").any(axis=1).tolist() == [True, True]
    error = capsys.readouterr().err
    assert "left out 2 photos" in error
    assert "caf\\udce9.jpg" in error
    assert "2 photos could not be used (--strict)" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone: no such file or folder"),
        (["empty"], "empty: has no images"),
        (["photos", "--output", "d.bin"], "ends in .npy"),
        (["photos", "--names", "photos/a.jpg"], "photos/a.jpg: names would overwrite it"),
        (["photos", "--names", "descriptors.json"], "names would overwrite it"),
        (["photos", "--model", "vgg16-netvlad"], "netvlad cluster"),
        (["line\nbreak.jpg"], "line break"),
    ],
)
def test_bad_input_is_one_line(photos, arguments, message, capsys):
    (photos / "empty").mkdir()
    shutil.copy(photos / "more.jpg", photos / "line\nbreak.jpg")
    before = (photos / "photos/a.jpg").read_bytes()
    with pytest.raises(SystemExit) as caught:
        main(["describe", *arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("netvlad: ")
    assert message in error
    assert (photos / "photos/a.jpg").read_bytes() == before
    assert not list(photos.glob("descriptors.*"))

"""The commands of data sets, on photos with EXIF positions and on planted faults."""

import io
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.made_photos import mosaic, position_of, write_photo

from netvlad.cli.main import main
from netvlad.datasets import DATASETS, open_dataset
from netvlad.datasets.getting import SOURCES, Source
from netvlad.downloading import RemoteFile


def exit_code(*arguments: object) -> int:
    try:
        main(["datasets", *map(str, arguments)])
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


@pytest.fixture
def copy(tiny_data: Path, tmp_path: Path) -> Path:
    """A data set to plant faults in; its splits lie 2 km apart, unlike those of the original."""
    root = tmp_path / "tiny"
    shutil.copytree(tiny_data, root)
    for number, split in enumerate(("train", "val", "test")):
        table = root / f"{split}.csv"
        table.write_text(table.read_text().replace(",5000000,", f",50{number}0000,"))
    return root


def test_list_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("list") == 0
    told = capsys.readouterr().out
    assert all(name in told for name in DATASETS)
    assert exit_code("list", "--json") == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list(DATASETS)
    for name, record in DATASETS.items():
        assert exit_code("info", name) == 0
        told = capsys.readouterr().out
        assert record.layout in told and record.citation in told and record.licence in told
    assert exit_code("info", "pitts30k", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["test"] == {
        "database": 10_000,
        "queries": 6_816,
    }
    assert exit_code("info", "nowhere") == 2
    assert "no data set called nowhere; choose from pitts30k" in capsys.readouterr().err


def test_check(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("check", "csv", "--data-dir", copy) == 0
    assert "72 database images and 36 queries: all is well" in capsys.readouterr().out
    (copy / "val/03_0.jpg").unlink()
    shutil.copy(copy / "train/00_0.jpg", copy / "test/00_2.jpg")
    assert exit_code("check", "csv", "--data-dir", copy, "--threads", 2) == 1
    told = capsys.readouterr()
    assert f"  {copy}/val/03_0.jpg" in told.out.splitlines()
    assert "  train/00_0.jpg = test/00_2.jpg" in told.out.splitlines()
    assert told.out.index("not there") < told.out.index("in both splits")
    assert "netvlad: csv: train, val, test: 72 database images and 36 queries: 2 faults" in told.err
    assert exit_code("check", "csv", "--data-dir", copy, "--fast", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is False and found["database"] == 72
    assert [(f["kind"], f["split"], f["count"]) for f in found["findings"]] == [
        ("missing", "val", 1),
        ("image-in-two-splits", "train, test", 1),
    ]
    assert exit_code("check", "csv", "--data-dir", copy, "--split", "train") == 0
    assert exit_code("check", "csv", "--data-dir", copy / "none") == 2


def test_an_interrupted_check(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netvlad.datasets.checking_images._decoded", interrupted)
    assert exit_code("check", "csv", "--data-dir", copy) == 130


def test_split_check_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in range(40):
        for view in range(3):
            name = tmp_path / f"photos/{place:02d}_{view}.jpg"
            write_photo(name, mosaic(place, view)[:32, :32], position_of(place))
    write_photo(tmp_path / "photos/indoors.jpg", mosaic(50, 0)[:32, :32], None)
    shutil.copy(tmp_path / "photos/00_0.jpg", tmp_path / "photos/00_0 (1).jpg")
    out = tmp_path / "mine"
    assert exit_code("split", tmp_path / "photos", "--output", out) == 0
    told = capsys.readouterr()
    assert f"{out}/train.csv: 28 places, 56 database images, 28 queries" in told.out
    assert "left out: 1 photo without a position" in told.out
    assert "left out: 1 photo, each a copy of another" in told.err
    sizes = [len(open_dataset("csv", out, s).queries) for s in ("train", "val", "test")]
    assert sizes == [28, 6, 6]
    assert exit_code("check", "csv", "--data-dir", out) == 0
    assert exit_code("split", tmp_path / "photos", "--output", out) == 2
    assert exit_code("split", tmp_path / "photos/indoors.jpg", "--output", tmp_path / "b") == 2
    assert "no photo has a position" in capsys.readouterr().err
    page = tmp_path / "page.html"
    where = ["--data-dir", out, "--split", "test"]
    assert exit_code("show", "csv", *where, "--output", page) == 0
    assert page.read_text().count("data:image/jpeg") == 18
    assert exit_code("convert", "csv", *where, "--to", "mat", "--output", tmp_path / "m") == 0
    assert len(open_dataset("pitts30k", tmp_path / "m", "test").queries) == 6
    assert exit_code("convert", "csv", *where, "--to", "mat", "--output", tmp_path / "m") == 2


@pytest.fixture
def served(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a data set as an archive."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in copy.rglob("*"):
            archive.write(path, path.relative_to(copy))
    (tmp_path / "www").mkdir()
    (tmp_path / "www/tiny.zip").write_bytes(content.getvalue())
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tiny.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def test_get(
    served: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = Source((RemoteFile(url=served, name="tiny.zip"),), by_hand=())
    monkeypatch.setitem(SOURCES, "csv", source)  # type: ignore[misc]
    assert exit_code("get", "csv", "--data-dir", tmp_path / "got") == 0
    told = capsys.readouterr()
    assert "tiny.zip: fetched" in told.out and "all is well" in told.out
    assert "no SHA-256 of it is known" in told.err
    assert exit_code("get", "csv", "--data-dir", tmp_path / "got") == 0
    assert "tiny.zip: was fetched before" in capsys.readouterr().out


def test_get_explains_what_is_not_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("get", "msls", "--data-dir", tmp_path / "m") == 0
    told = capsys.readouterr().out
    assert "  1. Log in at https://www.mapillary.com" in told
    assert not (tmp_path / "m").exists()
    assert exit_code("get", "csv", "--data-dir", tmp_path / "m") == 2
    assert "csv is a format for your own images" in capsys.readouterr().err

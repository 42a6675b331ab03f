"""The commands of an index, on an address in Milvus."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pymilvus", reason="needs netvlad[milvus]")
pytest.importorskip("milvus_lite", reason="Milvus Lite is not there for this platform")

from tests.cli.refusals import refused

from netvlad.cli.main import main
from netvlad.index.place_index import PlaceIndex

SMALL = ["--model", "efficientnet-lite0-avg"]


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("milvus") / "lite.db"
    yield f"milvus://{file}"
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(str(file))


@pytest.fixture(scope="module")
def built(photos: Path, lite: str) -> str:
    main(["index", "build", str(photos / "map"), "--index", f"{lite}/town", *SMALL])
    return f"{lite}/town"


def test_build_add_remove_and_info(
    photos: Path, lite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    town = f"{lite}/changing"
    main(["index", "build", str(photos / "queries"), "--index", town, *SMALL])
    told = capsys.readouterr().out
    assert "added 40" in told and f"{town}: 40 places; 112 dimensions in 32 bits" in told
    main(
        [
            "index",
            "add",
            "--index",
            town,
            str(photos / "map/00_0.jpg"),
            str(photos / "queries/00.jpg"),
        ]
    )
    assert "added 1, 1 there already" in capsys.readouterr().out
    main(["index", "add", "--index", town, str(photos / "map/00_1.jpg"), str(photos / "map")])
    assert "added 79, 1 there already" in capsys.readouterr().out
    main(["index", "remove", str(photos / "map"), "--index", town])
    assert f"{town}: removed 80 places, 40 left" in capsys.readouterr().out
    main(["index", "remove", "--index", town, "--missing"])
    assert "removed 0 places" in capsys.readouterr().out
    main(["index", "info", "--index", town, "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["places"], figures["with_position"], figures["dim"]) == (40, 40, 112)
    main(["index", "info", "--index", town, "--places"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 40 and lines[9].split("\t")[0].endswith("queries/09.jpg")
    main(["index", "info", "--index", town])
    assert "efficientnet-lite0, avg" in capsys.readouterr().out


def test_locate_and_a_page(
    built: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, page = str(photos / "queries/07.jpg"), tmp_path / "out.html"
    main(["locate", query, "--index", built, "-k", "3", "--json", "--output", str(page)])
    answer = json.loads(capsys.readouterr().out)[0]
    assert [Path(p["image"]).name[:3] for p in answer["places"]][:2] == ["07_", "07_"]
    assert built in page.read_text()
    main(["locate", query, "--index", built, "--bbox", "0", "0", "1", "1"])
    assert "no place of the index may be returned" in capsys.readouterr().out


def test_pairs_are_those_of_a_folder(
    built: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "i")
    main(["index", "build", str(photos / "map"), "--index", folder, "--model", built])
    written = []
    for index, name in ((built, "a"), (folder, "b")):
        arguments = ["pairs", "--index", index, "--queries", str(photos / "queries"), "-k", "4"]
        arguments += ["--format", "hloc", "--hloc-descriptors", str(tmp_path / f"{name}.h5")]
        main([*arguments, "--output", str(tmp_path / name)])
        written.append([line.split() for line in (tmp_path / name).read_text().splitlines()])
    assert len(written[0]) == 160
    # Half precision in the folder may swap places that are nearly alike.
    same = np.mean([a == b for a, b in zip(*written, strict=True)])
    assert same > 0.95
    import h5py

    with h5py.File(tmp_path / "a.h5") as ours, h5py.File(tmp_path / "b.h5") as theirs:
        for name in ("map/11_0.jpg/global_descriptor", "queries/30.jpg/global_descriptor"):
            np.testing.assert_allclose(ours[name][:], theirs[name][:], atol=1e-3)
    # Of each other: an index as queries, and refused when its model is another one.
    output = ["--output", str(tmp_path / "c"), "-k", "1"]
    main(["pairs", "--index", built, "--queries", folder, *output])
    main(["pairs", "--index", folder, "--queries", built, *output])
    assert "pairs of 80 queries and 80 images" in capsys.readouterr().out
    other = str(tmp_path / "other")
    small = ["--model", "efficientnet-lite0-max"]
    main(["index", "build", str(photos / "queries"), "--index", other, *small])
    message = refused(capsys, "pairs", "--index", built, "--queries", other, *output)
    assert "was described by another model" in message and built in message


def test_calibrate_keeps_its_document_there(
    built: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["image,easting,northing,role"]
    for folder, role in (("map", "database"), ("queries", "query")):
        (tmp_path / folder).symlink_to(photos / folder)
        for photo in sorted((photos / folder).iterdir()):
            east = 500_000 + 70 * int(photo.name[:2])
            rows.append(f"{folder}/{photo.name},{east},5000000,{role}")
    (tmp_path / "val.csv").write_text("\n".join(rows) + "\n")
    main(["index", "info", "--index", built])
    assert "by default" in capsys.readouterr().out
    index = PlaceIndex.open(built)
    before = index.calibrations()
    main(["index", "calibrate", "--index", built, "--dataset", "csv", "--data-dir", str(tmp_path)])
    assert "Probabilities on csv val" in capsys.readouterr().out
    main(["index", "info", "--index", built])
    assert "fitted to this index" in capsys.readouterr().out
    assert PlaceIndex.open(built).calibrations() != before
    index.store.refresh()
    assert index.calibrations() == PlaceIndex.open(built).calibrations()


def test_bad_input_is_one_line(
    built: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = str(photos / "queries/07.jpg")
    for command in ("verify", "optimize"):
        assert "is for index folders" in refused(capsys, "index", command, "--index", built)
    nobody = "milvus://ann:secret@127.0.0.1:9/town"
    for arguments in (
        ("locate", query, "--index", nobody),
        ("index", "add", "--index", nobody, query),
        ("index", "remove", "--index", nobody, query),
        ("index", "info", "--index", nobody),
        ("index", "build", query, "--index", nobody, *SMALL),
        ("pairs", "--index", nobody, "--output", "x"),
    ):
        message = refused(capsys, *arguments)
        assert "127.0.0.1:9/town: cannot be reached" in message and "secret" not in message
    assert "there is no place index" in refused(capsys, "index", "info", "--index", f"{built}_none")
    assert "not an address" in refused(capsys, "locate", query, "--index", "milvus://host")
    assert "holds an index already" in refused(
        capsys, "index", "build", query, "--index", built, *SMALL
    )
    assert "PHOTOS" in refused(capsys, "index", "add", "--index", built)
    assert "--index" in refused(capsys, "index", "info")

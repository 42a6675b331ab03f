"""The commands of an index, on photos with EXIF positions."""

import json
import shutil
from pathlib import Path

import h5py
import pytest
from tests.cli.refusals import refused
from tests.made_photos import mosaic, position_of, write_photo

from netvlad.cli.main import main

SMALL = ["--model", "efficientnet-lite0-avg"]


@pytest.fixture(scope="module")
def built(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "my.index"
    main(["index", "build", str(photos / "map"), "--index", str(folder), *SMALL])
    return folder


def test_build_says_what_it_did(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photos / "queries", tmp_path / "p")
    (tmp_path / "p/text.jpg").write_text("hello")
    (tmp_path / "t.csv").write_text(
        "image,latitude,longitude\np/00.jpg,1.5,2.5\nnot-there.jpg,1,2\n"
    )
    folder = str(tmp_path / "i")
    arguments = ["index", "build", str(tmp_path / "p"), "--index", folder, *SMALL]
    main([*arguments, "--positions", str(tmp_path / "t.csv")])
    told = capsys.readouterr()
    assert "added 40, 1 skipped because they cannot be used" in told.out
    assert "photos/s" in told.out
    assert "40 places, 40 with a position" in told.out and "text.jpg" in told.err
    assert "1 of 2 rows of t.csv match no photo (the first is not-there.jpg)" in told.err
    main(["index", "info", "--index", folder, "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["places"] == 40 and figures["bounding_box"][0] == 1.5
    with pytest.raises(SystemExit) as strict:
        main([*arguments[:3], "--index", str(tmp_path / "j"), *SMALL, "--strict"])
    assert strict.value.code == 1


def test_locate_prints_json_alone(
    built: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = str(photos / "queries/07.jpg")
    bad = str(built / "manifest.json")
    main(["locate", query, bad, "--index", str(built), "-k", "3", "--json"])
    told = capsys.readouterr()
    answers = json.loads(told.out)
    assert [answer["query"] for answer in answers] == [query, bad]
    first = answers[0]["places"][0]
    assert Path(first["image"]).name.startswith("07_") and len(answers[0]["places"]) == 3
    assert first["latitude"] == pytest.approx(position_of(7)[0], abs=1e-6)
    assert first["heading"] == pytest.approx(63.0) and first["distance_m"] < 1
    scores = [place["score"] for place in answers[0]["places"]]
    assert scores == sorted(scores, reverse=True)
    assert set(answers[0]["position"]) == {"latitude", "longitude", "error_m", "covariance"}
    assert 0 <= answers[0]["probability"] <= 1
    assert answers[1]["places"] == [] and "is not an image" in answers[1]["error"]


def test_locate_for_people_and_as_a_page(
    built: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out.html"
    main(
        [
            "locate",
            str(photos / "queries"),
            "--index",
            str(built),
            "--output",
            str(page),
            "--rerank",
        ]
    )
    told = capsys.readouterr()
    assert f"{photos}/queries/03.jpg" in told.out and "inliers" in told.out
    text = page.read_text()
    assert text.count("data:image/jpeg") > 100 and "http://" not in text.replace(
        "http://www.w3", ""
    )


def test_a_query_of_a_place_that_is_not_there(
    built: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = str(photos / "queries/07.jpg")
    main(["locate", query, "--index", str(built), "--no-rerank", "--min-probability", "1"])
    assert "  perhaps here: 52.2" in capsys.readouterr().out
    main(["locate", query, "--index", str(built), "--bbox", "0", "0", "1", "1"])
    assert "no place of the index may be returned" in capsys.readouterr().out


def test_grow_shrink_verify_and_optimise(
    built: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "i"
    shutil.copytree(built, folder)
    main(["index", "add", "--index", str(folder), str(photos / "queries")])
    assert "added 40" in capsys.readouterr().out
    main(["index", "remove", "--index", str(folder), str(photos / "map")])
    assert "removed 80 places, 40 left" in capsys.readouterr().out
    main(["index", "optimize", "--index", str(folder), "--whiten", "16"])
    assert "exact search, 16 dimensions, dropped 80 rows" in capsys.readouterr().out
    main(["index", "verify", "--index", str(folder)])
    assert "all is well" in capsys.readouterr().out
    main(["locate", str(photos / "queries/09.jpg"), "--index", str(folder), "--json"])
    answer = json.loads(capsys.readouterr().out)[0]
    assert answer["places"][0]["image"].endswith("queries/09.jpg")
    assert answer["places"][0]["score"] > 0.99
    main(["index", "info", "--index", str(folder), "--places"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 40 and lines[9].split("\t")[0].endswith("queries/09.jpg")
    matrix = next(folder.glob("descriptors-*"))
    content = bytearray(matrix.read_bytes())
    content[100] ^= 1
    matrix.write_bytes(content)
    with pytest.raises(SystemExit) as damaged:
        main(["index", "verify", "--index", str(folder)])
    assert damaged.value.code == 1 and matrix.name in capsys.readouterr().out


@pytest.mark.parametrize("format", ["colmap", "hloc"])
def test_pairs(
    built: Path, photos: Path, tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output, features = tmp_path / "pairs.txt", tmp_path / "global.h5"
    arguments = ["pairs", "--index", str(built), "--output", str(output), "-k", "4"]
    arguments += ["--queries", str(photos / "queries"), "--format", format]
    main([*arguments, "--hloc-descriptors", str(features)])
    pairs = [line.split() for line in output.read_text().splitlines()]
    assert len(pairs) == 160 and pairs[0][0] == "queries/00.jpg"
    assert all((photos / name).is_file() for pair in pairs for name in pair)
    with h5py.File(features) as file:
        assert len(file["map"]) == 80 and len(file["queries"]) == 40
        assert file["map/00_0.jpg/global_descriptor"].shape == (112,)
    # Without queries each image meets its nearest others.
    main(["pairs", "--index", str(built), "--output", str(output), "-k", "1"])
    names = [tuple(line.split()) for line in output.read_text().splitlines()]
    assert all(a != b for a, b in names) and len({frozenset(pair) for pair in names}) == len(names)


def test_bad_input_is_one_line(
    built: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, index = str(photos / "queries/07.jpg"), ["--index", str(built)]
    assert "nowhere.jpg: no such file" in refused(capsys, "locate", "nowhere.jpg", *index)
    assert "--bbox" in refused(capsys, "locate", query, *index, "--bbox", "1", "2", "3")
    assert "netvlad index build" in refused(
        capsys, "locate", query, "--index", str(tmp_path / "none")
    )
    assert "holds an index already" in refused(
        capsys, "index", "build", str(photos), "--index", str(built), *SMALL
    )
    assert "name the photos to remove" in refused(capsys, "index", "remove", "--index", str(built))
    (tmp_path / "t.csv").write_text("image,lat\na.jpg,1\n")
    message = refused(
        capsys,
        *("index", "build", str(photos / "map"), "--index", str(tmp_path / "x"), *SMALL),
        *("--positions", str(tmp_path / "t.csv")),
    )
    assert "t.csv" in message and "latitude" in message
    assert not (tmp_path / "x").exists()


def test_a_photo_that_moved_across_the_street_is_updated(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in range(3):
        write_photo(tmp_path / f"p/{place}.jpg", mosaic(place, 0), position_of(place))
    folder = str(tmp_path / "i")
    main(["index", "build", str(tmp_path / "p"), "--index", folder, *SMALL])
    (tmp_path / "p.csv").write_text("image,easting,northing,zone\n1.jpg,500000,5700000,31N\n")
    main(
        [
            "index",
            "add",
            "--index",
            folder,
            str(tmp_path / "p"),
            "--positions",
            str(tmp_path / "p.csv"),
        ]
    )
    assert "1 with other positions" in capsys.readouterr().out
    main(["index", "info", "--index", folder, "--places"])
    assert "\t51.4" in capsys.readouterr().out

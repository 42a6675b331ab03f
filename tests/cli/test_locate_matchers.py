"""Re-ranking by learned matchers through the commands, with made-up weights in torch's cache."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.matching.made_matchers import save_weights

from netvlad import PlaceIndex
from netvlad.cli.main import main
from netvlad.errors import SettingsError
from netvlad.index.answer import Question
from netvlad.index.probability import document_name
from netvlad.models import PlaceModel

DISK = "disk-lightglue"


@pytest.fixture
def torch_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "torch/hub/checkpoints"


@pytest.fixture(scope="module")
def small(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four places, two photos each in ``map``, one in ``queries``; and a table of all."""
    root = tmp_path_factory.mktemp("small")
    rows = ["image,easting,northing,role"]
    for folder, role in (("map", "database"), ("queries", "query")):
        (root / folder).mkdir()
        for photo in sorted((photos / folder).glob("0[0-3]*")):
            shutil.copy(photo, root / folder)
            east = 500_000 + 70 * int(photo.name[:2])
            rows.append(f"{folder}/{photo.name},{east},5000000,{role}")
    (root / "val.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def index(small: Path, quick_model: PlaceModel, tmp_path: Path) -> PlaceIndex:
    return PlaceIndex.build(small / "map", quick_model, output=tmp_path / "i", features="none")


def last_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that must exit with 2 says, after anything else."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_locate_re_ranks_by_a_learned_matcher(
    index: PlaceIndex,
    small: Path,
    torch_cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_weights(torch_cache, pytest.importorskip("kornia.feature"), DISK)
    query, folder = str(small / "queries/03.jpg"), str(index.folder)
    main(["locate", query, "--index", folder, "--matcher", "sift", "--json"])
    by_sift = json.loads(capsys.readouterr().out)
    main(["locate", query, "--index", folder, "--rerank", "--json"])
    told = capsys.readouterr()
    assert json.loads(told.out) == by_sift and "calibrate" not in told.err
    kept = index.folder / "features"
    assert len(list(kept.iterdir())) == 8
    page = str(tmp_path / "out.html")
    main(["locate", query, "--index", folder, "--matcher", DISK, "--json", "--output", page])
    told = capsys.readouterr()
    places = json.loads(told.out)[0]["places"]
    assert Path(places[0]["image"]).name.startswith("03_") and places[0]["inliers"] > 0
    by_name = {place["image"]: place["inliers"] for place in by_sift[0]["places"]}
    assert any(place["inliers"] != by_name.get(place["image"]) for place in places)
    assert f"netvlad index calibrate --matcher {DISK}" in told.err
    assert len(list(kept.iterdir())) == 16
    main(["index", "verify", "--index", folder])
    answer = index.locate(query, rerank=DISK)
    assert [place.image for place in answer.places] == [place["image"] for place in places]


def test_probabilities_of_a_learned_matcher_are_its_own_or_those_without(
    index: PlaceIndex,
    small: Path,
    torch_cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    feature = pytest.importorskip("kornia.feature")
    assert index.calibrations(reranked=DISK) == index.calibrations()
    assert index.calibrations(reranked="sift") == index.calibrations(reranked=True)
    assert "log_evidence" in index.calibrations(reranked=True)[0].names
    save_weights(torch_cache, feature, DISK)
    folder = str(index.folder)
    data = ["--dataset", "csv", "--data-dir", str(small)]
    main(["index", "calibrate", "--index", folder, *data, "--matcher", DISK])
    again = PlaceIndex.open(folder)
    own = again.calibrations(reranked=DISK)
    assert "log_evidence" in own[0].names and own[1:] == index.calibrations()
    assert again.calibrations(reranked="aliked-lightglue") == index.calibrations()
    assert again.calibrations() == index.calibrations()
    assert again.calibrations(reranked=True) == index.calibrations(reranked=True)
    capsys.readouterr()
    main(["locate", str(small / "queries/03.jpg"), "--index", folder, "--matcher", DISK])
    assert "calibrate" not in capsys.readouterr().err


def test_every_matcher_has_a_document_of_its_own() -> None:
    names = [document_name(reranked=r) for r in (False, True, DISK, "aliked-lightglue")]
    assert len(set(names)) == 4 and document_name(reranked="sift") == names[1]
    assert names[:2] == ["calibration", "calibration-reranked"]  # as in indexes that exist


def test_what_cannot_be_done_is_one_line(
    index: PlaceIndex,
    small: Path,
    torch_cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["locate", str(small / "queries"), "--index", str(index.folder), "--matcher"]
    assert "nonsense" in last_line(capsys, *asked, "nonsense")
    for bad in ("nonsense", ""):
        with pytest.raises(SettingsError, match=f"'{bad}'; there are sift, xfeat"):
            Question(rerank=bad)
    torch_cache.mkdir(parents=True)
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "kornia", None)
        line = last_line(capsys, *asked, DISK)
    assert line.startswith("netvlad: ") and "pip install 'netvlad[matching]'" in line


def test_damaged_weights_are_named(
    index: PlaceIndex,
    small: Path,
    torch_cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    feature: Any = pytest.importorskip("kornia.feature")
    save_weights(torch_cache, feature, DISK)
    (torch_cache / "depth-save.pth").write_text("404: Not Found")
    asked = ["locate", str(small / "queries"), "--index", str(index.folder), "--matcher"]
    line = last_line(capsys, *asked, DISK)
    assert f"{torch_cache / 'depth-save.pth'}: is not a file of torch.save" in line

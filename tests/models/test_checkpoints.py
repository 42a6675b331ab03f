import json
import shutil

import pytest
import torch

from netvlad.errors import CheckpointError, NetvladError
from netvlad.loading import load_model
from netvlad.models import ModelSpec, build_model, write_pytorch_netvlad_run
from netvlad.models.checkpoints import (
    Checkpoint,
    load_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

SPEC = ModelSpec(arch="alexnet", num_clusters=2, resize=(64, 96))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return build_model(SPEC, weights="none")


def checkpoint(model, **progress):
    return Checkpoint(
        model.spec, model.state_dict(), {"kept.queries": torch.arange(3)}, dict(progress)
    )


@pytest.fixture
def run(tmp_path, model):
    write_checkpoint(tmp_path, "e0001", checkpoint(model, epoch=1), ("latest", "best"))
    write_checkpoint(tmp_path, "e0002", checkpoint(model, epoch=2))
    return tmp_path


def test_comes_back_as_it_went(run, model):
    back = read_checkpoint(run)
    assert back.spec == model.spec
    assert back.progress == {"epoch": 2}
    assert torch.equal(back.training["kept.queries"], torch.arange(3))
    for name, value in model.state_dict().items():
        assert torch.equal(back.weights[name], value)
    assert read_checkpoint(run, "best").progress == {"epoch": 1}
    assert read_checkpoint(run / "checkpoints" / "e0001").progress == {"epoch": 1}


def test_only_what_is_pointed_to_stays(run, model):
    write_checkpoint(run, "e0003", checkpoint(model, epoch=3))
    left = {p.name for p in (run / "checkpoints").iterdir() if p.is_dir()}
    assert left == {"e0001", "e0003"}


def test_half_written_folders_are_swept_and_never_read(run, model):
    (run / "checkpoints" / ".e0003.x.tmp").mkdir()
    assert read_checkpoint(run).progress == {"epoch": 2}
    write_checkpoint(run, "e0003", checkpoint(model, epoch=3))
    assert not list((run / "checkpoints").glob(".*"))


def test_a_loaded_model_describes_alike(run, model):
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(load_model(run)(images), model.eval()(images))


def test_damage_is_noticed(run):
    folder = run / "checkpoints" / "e0002"
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is damaged"):
        read_checkpoint(run)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is not a whole checkpoint"):
        read_checkpoint(run)


def test_other_trouble_is_one_line(run, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(CheckpointError, match="is not a run folder"):
        read_checkpoint(empty)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(empty / "nothing")
    record = json.loads((run / "checkpoints/e0002/checkpoint.json").read_text())
    record["format"] = 99
    (run / "checkpoints/e0002/checkpoint.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="install a newer netvlad"):
        read_checkpoint(run)
    (run / "checkpoints/latest.json").write_text('{"folder": "../../etc"}')
    with pytest.raises(CheckpointError, match="does not name a checkpoint folder"):
        read_checkpoint(run)
    shutil.rmtree(run / "checkpoints/e0001")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(run, "best")


def test_weights_that_do_not_fit_name_the_layer(run):
    path = run / "checkpoints/e0002/checkpoint.json"
    record = json.loads(path.read_text())
    record["model"]["num_clusters"] = 3
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"do not fit its settings: .*pool"):
        load_model(run)


def test_a_run_of_pytorch_netvlad_loads_through_the_same_door(tmp_path, model):
    write_pytorch_netvlad_run(
        tmp_path, model, epoch=3, recalls={5: 0.5}, best_score=0.5, settings={}
    )
    loaded = load_model(tmp_path, ckpt="best")
    assert loaded.spec.arch == "alexnet"
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_folders_that_no_training_made_stay(run, model):
    checkpoints = run / "checkpoints"
    copies = ["e0001 copy", "e0002-mine", "best-of-all", "keep", "start-over", ".hidden", "e12"]
    for name in copies:
        shutil.copytree(checkpoints / "e0002", checkpoints / name)
    for name in ("e0009", "e0010-b03", "start", "start-best", ".e0003.1a2b.tmp", ".start.3c.old"):
        (checkpoints / name).mkdir()
    write_checkpoint(run, "e0003", checkpoint(model, epoch=3))
    left = {p.name for p in checkpoints.iterdir() if p.is_dir()}
    assert left == {"e0001", "e0003", *copies}
    assert read_checkpoint(checkpoints / "keep").progress == {"epoch": 2}


def test_a_checkpoint_that_was_being_replaced_is_found(run):
    (run / "checkpoints/e0002").rename(run / "checkpoints/.e0002.1a2b3c4d.old")
    assert read_checkpoint(run).progress == {"epoch": 2}


@pytest.fixture
def theirs(tmp_path, model):
    write_pytorch_netvlad_run(
        tmp_path / "theirs", model, epoch=3, recalls={5: 0.5}, best_score=0.5, settings={}
    )
    return tmp_path / "theirs"


@pytest.mark.parametrize(
    "part", [".", "checkpoints", "checkpoints/checkpoint.pth.tar", "checkpoints/model_best.pth.tar"]
)
@pytest.mark.parametrize("ckpt", ["latest", "best"])
def test_a_run_of_pytorch_netvlad_by_any_of_its_names(theirs, part, ckpt):
    assert load_checkpoint(theirs / part, ckpt).progress["epoch"] == 3


def test_a_file_is_the_checkpoint_that_it_is_whatever_else_is_asked_for(theirs, model):
    write_pytorch_netvlad_run(theirs, model, epoch=4, recalls={5: 0.4}, best_score=0.5, settings={})
    latest, best = (theirs / "checkpoints" / f"{n}.pth.tar" for n in ("checkpoint", "model_best"))
    for ckpt in ("latest", "best"):
        epochs = [load_checkpoint(file, ckpt).progress["epoch"] for file in (latest, best)]
        assert epochs == [4, 3]


@pytest.mark.parametrize(
    "part", [".", "checkpoints", "checkpoints/checkpoint.pth.tar", "checkpoints/model_best.pth.tar"]
)
def test_without_its_flags_a_run_of_pytorch_netvlad_says_what_is_missing(theirs, part):
    (theirs / "checkpoints/flags.json").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoints/flags\.json: is missing.*put it back"):
        load_checkpoint(theirs / part)


def test_what_is_no_run_is_told_as_it_is(run, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for place, words in (
        (run / "checkpoints/e0002/model.safetensors", "is a file; name the run folder"),
        (tmp_path / "notes.txt", "is a file; name the run folder"),
        (run / "checkpoints", f"lies in a run folder; name that, {run}"),
        (run.parent / "nowhere.pth.tar", "does not exist"),
    ):
        with pytest.raises(CheckpointError, match=words):
            load_checkpoint(place)


def test_a_checkpoint_that_no_run_has_is_refused(run, theirs):
    for place in (run, theirs):
        with pytest.raises(NetvladError, match="choose latest or best"):
            load_checkpoint(place, "newest")

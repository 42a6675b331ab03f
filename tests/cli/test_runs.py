"""The folder of a training: what is left of one that came to nothing."""

import pytest
import torch
from tests.cli.refusals import refused

from netvlad.cli.runs import run_folder
from netvlad.cli.settings import resolve
from netvlad.models import ModelSpec, build_model, write_pytorch_netvlad_run
from netvlad.models.checkpoints import Checkpoint, write_checkpoint

SETTINGS = resolve(typed={"arch": "alexnet", "pooling": "avg"})


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model(ModelSpec(arch="alexnet", pooling="avg"), weights=None)


@pytest.mark.parametrize("trouble", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("had_checkpoint", [False, True])
def test_a_new_run_that_fails_stays_only_if_it_can_be_resumed(
    tmp_path, network, trouble, had_checkpoint
):
    with pytest.raises(trouble), run_folder(None, tmp_path, SETTINGS) as run:
        if had_checkpoint:
            write_checkpoint(run, "e0001", Checkpoint(network.spec, network.state_dict()))
        raise trouble
    assert list(tmp_path.iterdir()) == ([run] if had_checkpoint else [])


def test_an_old_run_stays_whatever_happens(tmp_path, network):
    write_checkpoint(tmp_path, "e0001", Checkpoint(network.spec, network.state_dict()))
    with pytest.raises(ValueError), run_folder(tmp_path, tmp_path / "runs", SETTINGS) as run:
        raise ValueError
    assert run == tmp_path and (run / "checkpoints/e0001").is_dir()
    assert not (tmp_path / "runs").exists()


def test_a_run_of_pytorch_netvlad_that_cannot_be_resumed_leaves_no_folder(
    tmp_path, tiny_data, network, monkeypatch, capsys
):
    optimiser = {"state": {}, "param_groups": [{"params": [0, 1, 2]}]}  # of other layers
    write_pytorch_netvlad_run(
        tmp_path / "theirs",
        network,
        epoch=1,
        recalls={},
        best_score=0.0,
        settings={"optim": "SGD"},
        optimizer_state=optimiser,
    )
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "theirs/checkpoints/checkpoint.pth.tar"
    data = ("--dataset", "csv", "--data-dir", str(tiny_data))
    said = refused(capsys, "train", *data, "--resume", str(file))
    assert "other trained layers" in said
    assert not list(tmp_path.glob("runs/*_avg"))

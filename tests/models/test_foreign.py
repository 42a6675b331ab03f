import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netvlad.errors import CheckpointError
from netvlad.models import (
    ForeignCheckpoint,
    ModelSpec,
    PlaceModel,
    build_model,
    read_pytorch_netvlad_run,
    write_pytorch_netvlad_run,
)
from netvlad.models.foreign import is_pytorch_netvlad_run


class RunsCode:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.trace,)


@pytest.fixture(scope="module")
def model() -> PlaceModel:
    torch.manual_seed(0)
    return build_model(ModelSpec(arch="alexnet", num_clusters=3, vladv2=True), weights=None)


def built(checkpoint: ForeignCheckpoint) -> PlaceModel:
    model = build_model(checkpoint.spec, weights=None)
    model.load_state_dict(dict(checkpoint.state_dict))
    return model


def original_run(
    folder: Path, model: PlaceModel, *, encoder: str = "", pool: str = "", **flags: object
) -> Path:
    """A run folder as the original writes it: numpy scalars, and prefixes with several GPUs."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    settings = {"arch": "alexnet", "pooling": "netvlad", "num_clusters": 3, "lrStep": 5.0} | flags
    (checkpoints / "flags.json").write_text(json.dumps(settings))
    state = {
        key.replace("encoder.", "encoder." + encoder).replace("pool.", "pool." + pool): value
        for key, value in model.state_dict().items()
    }
    optimizer = torch.optim.SGD(model.trainable_parameters(), lr=1e-4, momentum=0.9)
    torch.save(
        {
            "epoch": 7,
            "state_dict": state,
            "recalls": {1: np.float64(0.5), 5: np.float32(0.75)},
            "best_score": np.float64(0.75),
            "optimizer": optimizer.state_dict(),
            "parallel": bool(encoder),
        },
        checkpoints / "checkpoint.pth.tar",
    )
    return folder


@pytest.mark.parametrize(("encoder", "pool"), [("", ""), ("module.", "module."), ("module.", "")])
def test_reads_the_originals_runs(
    model: PlaceModel, tmp_path: Path, encoder: str, pool: str
) -> None:
    run = original_run(tmp_path / "run", model, encoder=encoder, pool=pool)
    checkpoint = read_pytorch_netvlad_run(run)
    assert checkpoint.epoch == 7
    assert checkpoint.recalls == {1: 0.5, 5: 0.75}
    assert checkpoint.best_score == 0.75
    assert checkpoint.settings["lrStep"] == 5.0
    assert checkpoint.optimizer is not None
    assert checkpoint.optimizer["param_groups"][0]["momentum"] == 0.9
    # The flags do not say v2: the weights do.
    assert checkpoint.spec == ModelSpec(arch="alexnet", num_clusters=3, vladv2=True)
    state = built(checkpoint).state_dict()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(state[key], value)
    assert read_pytorch_netvlad_run(run / "checkpoints").epoch == 7


@pytest.mark.parametrize("pooling", ["netvlad", "max"])
@pytest.mark.parametrize("recall", [0.8, 0.7])
def test_what_is_written_is_read_again(tmp_path: Path, pooling: str, recall: float) -> None:
    model = build_model(ModelSpec(arch="alexnet", pooling=pooling, num_clusters=3), weights=None)
    write_pytorch_netvlad_run(
        tmp_path,
        model,
        epoch=4,
        recalls={1: 0.5, 5: recall},
        best_score=0.8,
        settings={"lr": 1e-3, "arch": "ignored"},
    )
    checkpoint = read_pytorch_netvlad_run(tmp_path)
    assert checkpoint.spec.pooling == pooling
    assert checkpoint.spec.arch == "alexnet"
    assert (checkpoint.epoch, checkpoint.best_score) == (4, 0.8)
    assert checkpoint.recalls == {1: 0.5, 5: recall}
    assert checkpoint.settings["lr"] == 1e-3
    assert checkpoint.settings["batchSize"] == 4
    assert checkpoint.settings["vladv2"] is False
    image = torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8)
    torch.testing.assert_close(built(checkpoint)(image), model(image))
    files = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    best = {"model_best.pth.tar"} if recall == 0.8 else set()
    assert files == {"flags.json", "checkpoint.pth.tar"} | best
    if not best:
        with pytest.raises(CheckpointError, match="no best checkpoint"):
            read_pytorch_netvlad_run(tmp_path, ckpt="best")
    # An optimiser of the original accepts the state.
    optimizer = torch.optim.SGD(built(checkpoint).trainable_parameters(), lr=1.0)
    optimizer.load_state_dict(dict(checkpoint.optimizer or {}))
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_a_trained_optimisers_state_is_kept(tmp_path: Path) -> None:
    model = build_model(ModelSpec(arch="alexnet", pooling="avg"), weights=None).train()
    optimizer = torch.optim.Adam(model.trainable_parameters(), lr=0.01)
    model(torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8))[:, 0].sum().backward()
    optimizer.step()
    write_pytorch_netvlad_run(
        tmp_path,
        model,
        epoch=1,
        recalls={5: 1.0},
        best_score=1.0,
        settings={"optim": "ADAM"},
        optimizer_state=optimizer.state_dict(),
    )
    checkpoint = read_pytorch_netvlad_run(tmp_path, ckpt="best")
    assert checkpoint.optimizer is not None
    moments = checkpoint.optimizer["state"][0]["exp_avg"]
    torch.testing.assert_close(moments, optimizer.state_dict()["state"][0]["exp_avg"])


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(arch="efficientnet-lite0", pooling="avg"),
        ModelSpec(arch="alexnet", pooling="gem"),
        ModelSpec(arch="alexnet", pooling="avg", whitening_dim=8),
    ],
)
def test_models_that_the_original_lacks(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(CheckpointError, match="pytorch-NetVlad has no"):
        write_pytorch_netvlad_run(
            tmp_path,
            build_model(spec, weights=None),
            epoch=1,
            recalls={},
            best_score=0.0,
            settings={},
        )
    assert list(tmp_path.iterdir()) == []


def test_code_is_never_run(model: PlaceModel, tmp_path: Path) -> None:
    run = original_run(tmp_path / "run", model)
    trace = tmp_path / "it ran"
    content = {"epoch": RunsCode(trace), "state_dict": model.state_dict()}
    torch.save(content, run / "checkpoints/checkpoint.pth.tar")
    with pytest.raises(CheckpointError, match="refused, because it asks to run code"):
        read_pytorch_netvlad_run(run)
    assert not trace.exists()


def test_what_is_no_run_folder(model: PlaceModel, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_pytorch_netvlad_run(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="not a run folder of pytorch-NetVlad"):
        read_pytorch_netvlad_run(tmp_path)
    assert not is_pytorch_netvlad_run(tmp_path)
    run = original_run(tmp_path / "run", model)
    assert is_pytorch_netvlad_run(run)
    assert is_pytorch_netvlad_run(run / "checkpoints")
    with pytest.raises(CheckpointError, match=r"model_best\.pth\.tar: there is no best"):
        read_pytorch_netvlad_run(run, ckpt="best")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_damaged_checkpoint(model: PlaceModel, tmp_path: Path, content: bytes) -> None:
    run = original_run(tmp_path / "run", model)
    (run / "checkpoints/checkpoint.pth.tar").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged") as caught:
        read_pytorch_netvlad_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {"epoch": 1},
        {"state_dict": {"pool.centroids": 3}},
        {"state_dict": {"encoder.0.weight": torch.ones(1)}},
        {"state_dict": {"pool.centroids": torch.tensor(1.0)}},
        {"state_dict": {"pool.centroids": torch.ones(3, 4)}, "epoch": "seven"},
        {"state_dict": {"pool.centroids": torch.ones(3, 4)}, "recalls": [1]},
    ],
)
def test_checkpoints_that_make_no_sense(model: PlaceModel, tmp_path: Path, content: Any) -> None:
    run = original_run(tmp_path / "run", model)
    torch.save(content, run / "checkpoints/checkpoint.pth.tar")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth\.tar"):
        read_pytorch_netvlad_run(run)


@pytest.mark.parametrize("flags", ["{", "[]", '{"arch": 3}'])
def test_flags_that_make_no_sense(model: PlaceModel, tmp_path: Path, flags: str) -> None:
    run = original_run(tmp_path / "run", model)
    (run / "checkpoints/flags.json").write_text(flags)
    with pytest.raises(CheckpointError, match=r"flags\.json"):
        read_pytorch_netvlad_run(run)

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netvlad
from netvlad import PlaceModel
from netvlad.compute import Compute
from netvlad.errors import ModelError, SettingsError
from netvlad.export import engines
from netvlad.export.engines import engine_of, engines_folder, running
from netvlad.models.fingerprints import model_fingerprint
from netvlad.types import Note

OTHERS = ["onnxruntime", "openvino"]


@pytest.fixture(scope="module", autouse=True)
def needed() -> None:
    for name in ("onnx", "onnxscript", *OTHERS):
        pytest.importorskip(name)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "netvlad/engines"


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 120, 161), dtype=torch.uint8)


@pytest.mark.parametrize("name", OTHERS)
def test_an_engine_gives_the_models_descriptors(
    quick_model: PlaceModel, images: torch.Tensor, name: Any
) -> None:
    """The cache of this test run is shared: one preparation serves both engines."""
    photos = [image.permute(1, 2, 0).numpy() for image in images]
    expected = quick_model.describe(photos)
    told: list[Any] = []
    with running(quick_model, Compute(engine=name), 1, told.append):
        engine, used = quick_model.engine, []
        assert engine is not None
        quick_model.engine = lambda batch: used.append(len(batch)) or engine(batch)
        found = quick_model.describe(photos)
        assert used == [3]
        quick_model.engine = engine
    assert quick_model.engine is None
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not np.array_equal(found, expected)  # it was another that computed them
    folder = engines_folder() / model_fingerprint(quick_model)
    record = json.loads((folder / "engines.json").read_text())
    assert set(record["milliseconds"]) == {"torch", *OTHERS}
    # Measured once: neither another use nor `auto` prepares again.
    before = (folder / "model.onnx").stat().st_mtime_ns
    told.clear()
    with running(quick_model, Compute(), 1, told.append):
        best = min(record["milliseconds"], key=record["milliseconds"].get)
        assert (quick_model.engine is None) == (best == "torch")
    assert (folder / "model.onnx").stat().st_mtime_ns == before and told == []


def test_gradients_and_copies_are_torchs(quick_model: PlaceModel, images: torch.Tensor) -> None:
    def wrong(batch: torch.Tensor) -> torch.Tensor:
        raise AssertionError("not to be used")

    model = copy.deepcopy(quick_model)
    model.engine = wrong
    assert model(images).shape == (3, model.descriptor_dim)  # gradients are on
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.engine is None
    with torch.inference_mode():
        with pytest.raises(AssertionError, match="not to be used"):
            model(images)
        with pytest.raises(ModelError, match="expected images of shape"):
            model(images[:, :2])


def test_few_images_are_not_worth_a_preparation(
    quick_model: PlaceModel, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine_of(quick_model, Compute(), 999) is None and not empty_cache.exists()
    assert engine_of(quick_model, Compute(engine="torch"), 10**6) is None
    prepared: list[Path] = []

    def preparing(model: PlaceModel, folder: Path, report: Any) -> dict[str, float]:
        prepared.append(folder)
        raise ModelError("cannot be exported")

    monkeypatch.setattr(engines, "prepare", preparing)
    told: list[Any] = []
    assert engine_of(quick_model, Compute(), 1000, told.append) is None and len(prepared) == 1
    assert told == [Note("engine: torch, because another cannot be prepared: cannot be exported")]
    with pytest.raises(ModelError, match="cannot be exported"):
        engine_of(quick_model, Compute(engine="openvino"), 1)


def test_what_was_measured_elsewhere_does_not_count(
    quick_model: PlaceModel, empty_cache: Path
) -> None:
    folder = empty_cache / model_fingerprint(quick_model)
    folder.mkdir(parents=True)
    (folder / "model.onnx").touch()
    record = {"machine": engines._machine(), "milliseconds": {"torch": 1.0, "onnxruntime": 2.0}}
    for content, expected in (
        (record, record["milliseconds"]),
        (record | {"milliseconds": {"torch": 1.0, "gone": 0.1}}, {"torch": 1.0}),
        (record | {"machine": {"node": "another"}}, None),
        ("nonsense", None),
    ):
        (folder / "engines.json").write_text(json.dumps(content))
        assert engines._prepared(folder) == expected
    (folder / "engines.json").write_text("{")
    assert engines._prepared(folder) is None


def test_an_engine_that_differs_is_not_used(
    quick_model: PlaceModel, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engines._opened

    def worse(name: str, path: Path) -> Any:
        run = real(name, path)
        return run if name == "onnxruntime" else lambda images: np.roll(run(images), 1, axis=1)

    monkeypatch.setattr(engines, "_opened", worse)
    told: list[Any] = []
    with pytest.raises(ModelError, match="openvino: does not give this model's descriptors"):
        engine_of(quick_model, Compute(engine="openvino"), 1, told.append)
    assert any("engine openvino: the exported model differs" in str(note) for note in told)


def test_what_is_refused(quick_model: PlaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="engine is 'tensorrt'; choose one of auto, torch"):
        Compute(engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="on the CPU in 32 bits"):
        engine_of(quick_model, Compute(engine="openvino", precision="bf16"), 1)
    assert engine_of(quick_model, Compute(precision="bf16"), 10**6) is None
    own = netvlad.ExternalModel(torch.nn.Flatten(), descriptor_dim=4, name="own")
    with pytest.raises(SettingsError, match="netvlad's own models"):
        engine_of(own, Compute(engine="onnxruntime"), 1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'netvlad\[openvino\]'"):
        engine_of(quick_model, Compute(engine="openvino"), 1)
    assert sys.modules["openvino"]

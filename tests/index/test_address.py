"""What an index cannot keep is refused before any work."""

from pathlib import Path

import pytest
from torch import nn

from netvlad import ExternalModel, PlaceIndex
from netvlad.errors import ModelError


def test_a_model_of_code_is_refused_before_work(photos: Path, tmp_path: Path) -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model = ExternalModel(module, name="colours")
    assert model.describe(sorted((photos / "map").iterdir())[0]).shape == (12,)
    line = r"^model colours: .*weights and settings.*netvlad\.describe and netvlad\.evaluate take"
    with pytest.raises(ModelError, match=line) as refused:
        PlaceIndex.in_memory(model)
    assert "\n" not in str(refused.value)
    for output in (None, tmp_path / "my.index"):
        # Not even the photos are looked for.
        with pytest.raises(ModelError, match=line):
            PlaceIndex.build("nowhere", model, output=output)
    assert not (tmp_path / "my.index").exists()

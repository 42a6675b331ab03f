import json
from typing import Any

import pytest

from netvlad.errors import ModelError
from netvlad.models import ModelSpec


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(),
        ModelSpec(arch="alexnet", pooling="gem", vladv2=True, cut=3, resize=(480, 640)),
        ModelSpec(from_scratch=True, freeze_batch_norm=False, num_clusters=1),
    ],
)
def test_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_absent_fields_take_their_default() -> None:
    assert ModelSpec.from_json({}) == ModelSpec()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([], "object"),
        ({"colour": 1}, "colour"),
        ({"arch": 3}, "arch"),
        ({"num_clusters": 0}, "num_clusters"),
        ({"num_clusters": 6.5}, "num_clusters"),
        ({"num_clusters": True}, "num_clusters"),
        ({"vladv2": "yes"}, "vladv2"),
        ({"cut": -1}, "cut"),
        ({"cut": 3, "from_scratch": True}, "from_scratch"),
        ({"resize": [480]}, "resize"),
        ({"resize": [480, 0]}, "resize"),
        ({"resize": 0}, "resize"),
    ],
)
def test_wrong_fields_are_named(content: Any, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        ModelSpec.from_json(content)

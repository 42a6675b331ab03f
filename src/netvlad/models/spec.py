"""Everything that has to be known, besides the weights, to build a model again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from netvlad.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a model is made of.

    Attributes:
        arch: name of the backbone, see ``netvlad.models.BACKBONES``.
        pooling: name of the aggregator, see ``netvlad.models.AGGREGATORS``.
        num_clusters: K of NetVLAD; other aggregators ignore it.
        vladv2: whether NetVLAD's soft assignment has a bias; other aggregators ignore it.
        from_scratch: whether training starts from random weights, with no layer frozen.
        cut: how many leading children of the backbone are frozen; None takes the backbone's own
            choice (0 from scratch). A built model's spec has the number.
        freeze_batch_norm: whether batch normalisation in the trained part keeps the statistics it
            was loaded with, as small training batches of few places need; no effect from scratch.
        resize: (height, width) in pixels that images are brought to before they are described; or
            the most that their longer side may have, keeping the shape; None for their own size.
        whitening_dim: how many dimensions PCA whitening leaves; None for no such whitening.
        whitened_directions: how many leading directions a partial whitening takes down, which
            leaves the dimension as it is; None for none.
    """

    arch: str = "vgg16"
    pooling: str = "netvlad"
    num_clusters: int = 64
    vladv2: bool = False
    from_scratch: bool = False
    cut: int | None = None
    freeze_batch_norm: bool = True
    resize: tuple[int, int] | int | None = None
    whitening_dim: int | None = None
    whitened_directions: int | None = None

    def __post_init__(self) -> None:
        for name in ("arch", "pooling"):
            if not isinstance(getattr(self, name), str):
                raise _wrong(name, getattr(self, name), "a name")
        for name in ("vladv2", "from_scratch", "freeze_batch_norm"):
            if not isinstance(getattr(self, name), bool):
                raise _wrong(name, getattr(self, name), "true or false")
        if not _is_whole(self.num_clusters) or self.num_clusters < 1:
            raise _wrong("num_clusters", self.num_clusters, "a whole number of at least 1")
        if self.cut is not None and (not _is_whole(self.cut) or self.cut < 0):
            raise _wrong("cut", self.cut, "a whole number of at least 0, or nothing")
        if self.from_scratch and self.cut:
            raise ModelError(
                f"model setting cut is {self.cut}, but from_scratch freezes nothing; drop one"
            )
        if self.resize is not None and not _is_size(self.resize):
            raise _wrong("resize", self.resize, "one positive whole number, or (height, width)")
        for name in ("whitening_dim", "whitened_directions"):
            number = getattr(self, name)
            if number is not None and (not _is_whole(number) or number < 1):
                raise _wrong(name, number, "a whole number of at least 1, or nothing")
        if self.whitening_dim and self.whitened_directions:
            raise ModelError("model settings whitening_dim and whitened_directions: drop one")

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON types: a field each, but none for a whitening that there is not."""
        content = asdict(self)
        content["resize"] = list(self.resize) if isinstance(self.resize, tuple) else self.resize
        for name in ("whitening_dim", "whitened_directions"):
            if content[name] is None:
                # As before there was whitening: fingerprints of models without it stay the same.
                del content[name]
        return content

    @classmethod
    def from_json(cls, content: object) -> "ModelSpec":
        """Read what :meth:`to_json` wrote; fields that are absent take their default.

        Raises:
            ModelError: ``content`` is not an object, has an unknown field or a value of a wrong
                kind.
        """
        if not isinstance(content, Mapping):
            raise ModelError(f"model settings must be a JSON object, got {type(content).__name__}")
        unknown = sorted(set(map(str, content)) - {field.name for field in fields(cls)})
        if unknown:
            raise ModelError(
                f"unknown model setting {', '.join(unknown)}; was it written by a newer netvlad?"
            )
        values = dict(content)
        if isinstance(values.get("resize"), list):
            values["resize"] = tuple(values["resize"])
        return cls(**values)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: object) -> bool:
    sides: tuple[Any, ...] = value if isinstance(value, tuple) and len(value) == 2 else (value,)
    return all(_is_whole(side) and side > 0 for side in sides)


def _wrong(name: str, value: object, expected: str) -> ModelError:
    return ModelError(f"model setting {name} is {value!r}, expected {expected}")

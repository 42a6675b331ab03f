"""A model in the form that exporters can trace: uint8 images in, descriptors out, any size."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from netvlad.models.backbones.efficientnet_lite0 import Convolution
from netvlad.models.place_model import PlaceModel

# Two sizes that nothing divides evenly: what holds for them holds for no special case.
_EXAMPLE_SIZE = (131, 194)


class ExportableModel(nn.Module):
    """The same function as the model's, in float32 and contiguous memory, without its checks.

    Holds copies: the model can be trained further. Batch normalisation is folded into the
    convolutions before it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: PlaceModel) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.encoder)
        self.pool = copy.deepcopy(model.pool)
        self.whitening = copy.deepcopy(model.whitening)
        self.to("cpu", torch.float32).eval().requires_grad_(False)
        _fold_convolutions(self.encoder)
        nn.utils.convert_conv2d_weight_memory_format(self.encoder, torch.contiguous_format)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(model.preprocessing, name), dtype=torch.float32)
            self.register_buffer(name, values.view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Describe (B, 3, H, W) uint8 RGB images: (B, D) float32, L2-normalised."""
        features = self.encoder((images.float() - self.mean) / self.std)
        # Beneath forward: there is no autocast to guard against, and exporters stumble over it.
        descriptors = self.pool.aggregate(features)
        return descriptors if self.whitening is None else self.whitening.project(descriptors)


def fixed_size(model: PlaceModel) -> tuple[int, int] | None:
    """The only (height, width) that an exported model takes, None where it takes any.

    ``spec.resize`` is left to the caller: an antialiased resize in the graph would not give the
    very pixels that Pillow gives, so a model for one size is exported for that size.
    """
    return model.spec.resize if isinstance(model.spec.resize, tuple) else None


def smallest_side(model: PlaceModel) -> int:
    """The shortest image side that an exported model is made for, in pixels.

    Tracing wants to know that no map is a single row or column, which would be a special case.
    """
    stride = model.encoder.stride
    return max(model.minimum_size, stride) + stride


def traced(model: PlaceModel) -> ExportedProgram:
    """The model as a graph: any batch size, and any image size that its spec leaves open."""
    module = ExportableModel(model)
    size = fixed_size(model) or _EXAMPLE_SIZE
    example = torch.zeros(2, 3, *size, dtype=torch.uint8)
    # Strict tracing follows len() of a batch, which the other kind would fix at the example's.
    program = torch.export.export(
        module, (example,), dynamic_shapes=dynamic_shapes(model), strict=True
    )
    for node in program.graph.nodes:
        # Paths and source lines of this machine, which are nobody's business.
        node.meta.pop("stack_trace", None)
    return program


def dynamic_shapes(model: PlaceModel) -> tuple[dict[int, Dim]]:
    """Which axes of the images are free, by name."""
    axes = {0: Dim("batch", min=1)}
    if fixed_size(model) is None:
        axes[2] = Dim("height", min=smallest_side(model))
        axes[3] = Dim("width", min=smallest_side(model))
    return (axes,)


class SamePadding(nn.Module):
    """Zeros around a map, as a stride-2 convolution of an odd kernel needs for ⌈size / 2⌉ cells.

    TensorFlow pads an odd size by ``kernel // 2`` on both sides, an even one by one less at the
    front. What is then put behind instead is not reached by any stride, so that the size grows by
    as much for odd and for even, and tracing needs no branch.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.margin = kernel // 2

    def forward(self, features: Tensor) -> Tensor:
        """Pad (B, C, H, W) to (B, C, H + 2 (kernel // 2), W + 2 (kernel // 2))."""
        evens = [1 - size % 2 for size in (features.shape[3], features.shape[2])]
        return F.pad(features, [self.margin + sign * even for even in evens for sign in (-1, 1)])


class Clip(nn.Module):
    """Values cut to a range, as one operation: exporters take a second to unfold each ReLU6."""

    def __init__(self, smallest: float, largest: float) -> None:
        super().__init__()
        self.smallest = smallest
        self.largest = largest

    def forward(self, features: Tensor) -> Tensor:
        """Clip features of any shape."""
        return features.clamp(self.smallest, self.largest)


def _fold_convolutions(parent: nn.Module) -> None:
    for name, child in list(parent.named_children()):
        if isinstance(child, Convolution):
            setattr(parent, name, _folded(child))
        else:
            _fold_convolutions(child)


def _folded(layer: Convolution) -> nn.Sequential:
    """Convolution, normalisation and activation as plain layers."""
    conv = layer.conv
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    assert kernel % 2 == 1
    assert stride in (1, 2)
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        kernel,
        stride,
        padding=kernel // 2 if stride == 1 else 0,
        groups=conv.groups,
    ).requires_grad_(False)
    assert plain.bias is not None
    weight, bias = layer.folded()
    plain.weight.copy_(weight)
    plain.bias.copy_(bias)
    layers: list[nn.Module] = [SamePadding(kernel)] if stride == 2 else []
    layers.append(plain)
    layers += [
        Clip(0, 6) if isinstance(activation, nn.ReLU6) else activation
        for activation in list(layer)[2:]
    ]
    return nn.Sequential(*layers)

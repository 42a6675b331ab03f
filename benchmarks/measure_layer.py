"""The NetVLAD layer of either side, alone."""

from functools import partial
from typing import Any

import torch

from benchmarks.layer import TOLERANCE, features, largest_difference, layers, time_layer
from benchmarks.setting import BenchmarkError, Setting
from benchmarks.timing import peak_mb
from netvlad.cli.main import keep_freed_memory

Measured = dict[str, Any]


def check(setting: Setting) -> Measured:
    """Both layers give the same, or there is nothing to compare.

    Raises:
        BenchmarkError: they do not.
    """
    # A GPU's convolutions would round to ten bits, and matrix products would not.
    torch.backends.cudnn.allow_tf32 = False
    maps = features(setting.sizes.layer_images, device=setting.device)
    difference = largest_difference(maps, layers(device=setting.device))
    if difference > TOLERANCE:
        raise BenchmarkError(
            f"our layer differs from the original's by {difference:.1e}, more than {TOLERANCE}"
        )
    return {"largest_difference": difference}


def ours_forward(setting: Setting) -> Measured:
    return _timed("ours", setting, backward=False)


def ours_forward_backward(setting: Setting) -> Measured:
    return _timed("ours", setting, backward=True)


def original_forward(setting: Setting) -> Measured:
    return _timed("original", setting, backward=False)


def original_forward_backward(setting: Setting) -> Measured:
    return _timed("original", setting, backward=True)


def _timed(side: str, setting: Setting, *, backward: bool) -> Measured:
    """The row's seconds are of contiguous maps, on both sides; the rest is worth knowing.

    Our encoder hands over channels-last maps, the original's contiguous ones. The program asks the
    allocator to keep freed memory, which the original does not do, and would gain by.
    """
    sizes = setting.sizes
    layer = layers(device=setting.device)[side]
    contiguous = features(sizes.layer_images, device=setting.device)
    channels_last = contiguous.contiguous(memory_format=torch.channels_last)
    timed = partial(
        time_layer, layer, backward=backward, repeats=sizes.layer_repeats, device=setting.device
    )
    found = {"seconds": timed(contiguous), "peak_mb": peak_mb()}
    found["channels_last_seconds"] = timed(channels_last)
    keep_freed_memory()
    found["kept_memory_seconds"] = timed(contiguous)
    found["channels_last_kept_memory_seconds"] = timed(channels_last)
    return found

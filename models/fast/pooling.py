"""3x3 pooling as whole-tensor operations along rows, then along columns.

On a CPU, over channels-last maps of few channels, that is several times faster than the framework's own pooling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def window(x: Tensor, combine: Callable[..., Tensor], stride: int, dim: int) -> Tensor:
    """Combine each entry along ``dim`` with its two neighbours, at every ``stride``-th position; edges have one."""
    if stride == 1:
        out = x.clone(memory_format=torch.channels_last)
        before, after = x.narrow(dim, 0, x.shape[dim] - 1), x.narrow(dim, 1, x.shape[dim] - 1)
    else:
        index = [slice(None)] * dim
        out = x[(*index, slice(0, None, 2))].clone(memory_format=torch.channels_last)
        after = x[(*index, slice(1, None, 2))]
        before = after.narrow(dim, 0, out.shape[dim] - 1)
    tail, head = out.narrow(dim, 1, before.shape[dim]), out.narrow(dim, 0, after.shape[dim])
    combine(tail, before, out=tail)
    combine(head, after, out=head)
    return out


def max_pool(x: Tensor, stride: int) -> Tensor:
    """3x3 maximum with padding 1, exactly ``F.max_pool2d``: on CPUs by whole rows, which is several times faster."""
    if x.device.type != "cpu":
        return F.max_pool2d(x, 3, stride, padding=1)
    return window(window(x, torch.maximum, stride, 2), torch.maximum, stride, 3)


def window_sum(x: Tensor, stride: int = 1) -> Tensor:
    """Sum over each pixel's 3x3 neighbourhood inside the image."""
    return window(window(x, torch.add, stride, 2), torch.add, stride, 3)


def window_sizes(x: Tensor, stride: int = 1) -> Tensor:
    """How many pixels :func:`window_sum` adds up, (1, 1, H, W)."""
    height, width = x.shape[2:]
    rows = window(x.new_ones(1, 1, height, 1), torch.add, stride, 2)
    return rows * window(x.new_ones(1, 1, 1, width), torch.add, stride, 3)


def avg_pool(x: Tensor, stride: int) -> Tensor:
    """3x3 average over the pixels inside the image, ``F.avg_pool2d`` to rounding; on CPUs by whole rows."""
    if x.device.type != "cpu":
        return F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
    return window_sum(x, stride).mul_(1 / window_sizes(x, stride))

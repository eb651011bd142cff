"""The operations of the DARTS space, each a module from C channels to C channels.

An operation is built for a ``stride`` of 1 or 2. For dense prediction a network can keep its resolution where it
was trained to halve it ("atrous", as DeepLab does to reach output stride 8): the stride is then taken away and
whatever works on the reduced map is spread apart instead. :class:`Grid` says which of the two an operation lives on.
Weights are the same either way, and the atrous output holds the strided output at every second pixel, exactly.
Outputs have ceil(size / stride) rows and columns for any input size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Grid(NamedTuple):
    """The pixel grid an operation works on: ``rate`` is the spacing of the pixels it sees, ``atrous`` whether a
    stride of 2 spreads what follows instead of dropping pixels."""

    rate: int = 1
    atrous: bool = False

    def step(self, stride: int) -> int:
        """The stride that is really taken."""
        return 1 if self.atrous else stride

    def after(self, stride: int) -> Grid:
        """The grid behind an operation of this stride."""
        return Grid(self.rate * stride if self.atrous else self.rate, self.atrous)


DENSE = Grid()
"""The ordinary grid: strides are taken."""


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution, BatchNorm; a kernel of 1 brings a cell's input to the cell's width."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, affine: bool = True
    ) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels, affine=affine),
        )


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 side by side, on the even and on the odd pixels, BatchNorm.

    The pixels are picked out before convolutions of stride 1, which is the same sum: for a 1x1 convolution of stride 2
    over fewer than 8 channels, channels-last, oneDNN's AVX2 kernel of the gradient by the weight writes past its
    workspace (https://github.com/uxlfoundation/oneDNN/issues/6035).
    """

    def __init__(self, in_channels: int, out_channels: int, grid: Grid = DENSE) -> None:
        super().__init__()
        self.shift, self.step = grid.rate, grid.step(2)
        self.conv1 = nn.Conv2d(in_channels, out_channels // 2, 1, bias=False)
        self.conv2 = nn.Conv2d(in_channels, out_channels - out_channels // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, ceil(H / step), ceil(W / step))."""
        x, shift, step = F.relu(x), self.shift, self.step
        even, odd = x[:, :, ::step, ::step], F.pad(x, (0, shift, 0, shift))[:, :, shift::step, shift::step]
        return self.bn(torch.cat([self.conv1(even), self.conv2(odd)], 1))


class AvgPool3x3(nn.Module):
    """3x3 average over the pixels inside the image, spread by ``rate`` (torch has no dilated average pooling)."""

    def __init__(self, stride: int, rate: int) -> None:
        super().__init__()
        self.stride, self.rate = stride, rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 1:
            return F.avg_pool2d(x, 3, self.stride, padding=1, count_include_pad=False)
        return self.convolved(x)

    def convolved(self, x: Tensor) -> Tensor:
        """The same as a convolution of each channel with ones, over how many pixels of each window are inside."""
        window, channels = x.new_ones(1, 1, 3, 3), x.shape[1]
        inside = F.conv2d(torch.ones_like(x[:1, :1]), window, None, self.stride, self.rate, self.rate)
        total = F.conv2d(x, window.expand(channels, 1, 3, 3), None, self.stride, self.rate, self.rate, channels)
        return total * (1 / inside)


class MaxPool3x3(nn.Module):
    """3x3 maximum, spread by ``rate`` (torch refuses more padding than half a kernel, so it is done beforehand)."""

    def __init__(self, stride: int, rate: int) -> None:
        super().__init__()
        self.stride, self.rate = stride, rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 1:
            return F.max_pool2d(x, 3, self.stride, padding=1)
        return F.max_pool2d(F.pad(x, [self.rate] * 4, value=float("-inf")), 3, self.stride, dilation=self.rate)


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel with a kernel of its own, without bias.

    A dilated one is computed in float32 on a CPU, also under autocast: oneDNN's AVX-512 kernel gets the gradient of a
    bfloat16 one by its weight wrong, up to NaN, for channels-last maps of 30 pixels and more and a stride of 1.
    """

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        if self.dilation == (1, 1) or x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def _depthwise_separable(channels: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    return [
        nn.ReLU(),
        DepthwiseConv2d(channels, kernel, stride, dilation),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


def _max_pool(channels: int, stride: int, grid: Grid) -> nn.Module:
    return MaxPool3x3(grid.step(stride), grid.rate)


def _avg_pool(channels: int, stride: int, grid: Grid) -> nn.Module:
    return AvgPool3x3(grid.step(stride), grid.rate)


def _skip(channels: int, stride: int, grid: Grid) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, grid)


Builder = Callable[[int, int, Grid], nn.Module]


def _sep_conv(kernel: int) -> Builder:
    def build(channels: int, stride: int, grid: Grid) -> nn.Module:
        return nn.Sequential(
            *_depthwise_separable(channels, kernel, grid.step(stride), grid.rate),
            *_depthwise_separable(channels, kernel, 1, grid.after(stride).rate),
        )

    return build


def _dil_conv(kernel: int) -> Builder:
    def build(channels: int, stride: int, grid: Grid) -> nn.Module:
        return nn.Sequential(*_depthwise_separable(channels, kernel, grid.step(stride), 2 * grid.rate))

    return build


OPERATIONS: dict[str, Builder] = {
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _avg_pool,
    "skip_connect": _skip,
    "sep_conv_3x3": _sep_conv(3),
    "sep_conv_5x5": _sep_conv(5),
    "dil_conv_3x3": _dil_conv(3),
    "dil_conv_5x5": _dil_conv(5),
}
"""``name -> build(channels, stride, grid)`` for every primitive except ``none``."""

"""The operations of supernets and of networks with quick gradients on a CPU.

What is computed does not change; how its gradients are found does. The backward kernels that a CPU has for 5x5
and for dilated depthwise convolutions take ten to thirty times the arithmetic that they stand for, and the gradient
of every slice is written into zeros of its own. All have equals in terms of kernels that are fast:

- the gradient of a depthwise convolution of stride 1 by its input is one with the kernel turned by 180 degrees;
- one that is dilated by d sees d x d classes of pixels apart, so by its weight it has the gradient of a dense one over
  as many smaller images (space to batch; Chen et al., DeepLab, 2018, Section 3.1);
- the gradient by a 5x5 weight is pieced together from those by its first and its last three columns, because kernels
  of up to three columns are quick ones, however many rows they have;
- all operations of a map share its ReLU, and so its gradient;
- slices of a channels-last gradient are copied, because the kernels for such maps do not know slices of them;
- the even and the odd pixels that a factorized reduction looks at have one gradient, filled once, and so have the even
  ones that a kernel dilated by its stride of two sees, in the order of memory of the map;
- an average over 3x3 pixels is a depthwise convolution.

:func:`quicken` changes the class of a network's modules, and how its cells join their nodes, in place, so parameters,
buffers and names stay. Only training on a CPU is different; elsewhere the modules do what they always did.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.operations import AvgPool3x3, DepthwiseConv2d, FactorizedReduce
from genas.models.spaces.darts.cell import concatenate


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _zeros(like: Tensor, shape: torch.Size) -> Tensor:
    """Channels-last zeros (N, C, H, W) of the type and device of ``like``."""
    n, channels, height, width = shape
    return like.new_zeros(n, height, width, channels).permute(0, 3, 1, 2)


def _by_weight(x: Tensor, gradient: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The framework's gradient (C, 1, k, k) of a dense depthwise convolution of stride 1 by its weight."""
    args = (None, (1, 1), (padding, padding), (1, 1), False, (0, 0), x.shape[1])
    return torch.ops.aten.convolution_backward(gradient, x, weight, *args, (False, True, False))[1]


def _five_by_weight(x: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient by the weight (C, 1, 5, 5) of a convolution that keeps the size, from two of three columns.

    ``x`` and ``gradient`` are (N, C, H, W). Rows are padded here too: behind a padding of its own the framework's
    kernel is slow where a map has fewer than five of them.
    """
    three = weight[..., :3]
    first = _by_weight(F.pad(x, (2, 0, 2, 2)), gradient, three, 0)
    last = _by_weight(F.pad(x, (0, 2, 2, 2)), gradient, three, 0)
    return torch.cat([first, last[..., 1:]], 3)


def _apart(x: Tensor, step: int) -> Tensor:
    """The pixels of (N, C, H, W) that are ``step`` apart in both directions, as images of a batch (N step^2, C,
    ceil(H / step), ceil(W / step)); where a side is no multiple, zeros follow it."""
    x = F.pad(x, (0, -x.shape[3] % step, 0, -x.shape[2] % step))
    return _channels_last(
        torch.cat([x[:, :, row::step, column::step] for row in range(step) for column in range(step)])
    )


class DepthwiseGradient(torch.autograd.Function):
    """A depthwise convolution of stride 1 that keeps the size, kernel 3 or 5."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        """(N, C, H, W) by (C, 1, k, k)."""
        context.save_for_backward(x, weight)
        context.dilation = dilation
        return F.conv2d(x, weight, None, 1, dilation * (weight.shape[2] // 2), dilation, x.shape[1])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The gradients by ``x``, (N, C, H, W), and by ``weight``, (C, 1, k, k), where they are asked for."""
        (x, weight), dilation, gradient = context.saved_tensors, context.dilation, _channels_last(gradients[0])
        by_x = by_weight = None
        if context.needs_input_grad[0]:
            padding = dilation * (weight.shape[2] // 2)
            by_x = F.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, x.shape[1])
        if context.needs_input_grad[1]:
            if dilation > 1:
                x, gradient = _apart(x, dilation), _apart(gradient, dilation)
            small = weight.shape[2] == 3
            by_weight = _by_weight(x, gradient, weight, 1) if small else _five_by_weight(x, gradient, weight)
        return by_x, by_weight, None


class Even(torch.autograd.Function):
    """The pixels of maps that are even in both directions."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2))."""
        context.shape = x.shape
        return _channels_last(x[:, :, ::2, ::2])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """(N, C, ceil(H / 2), ceil(W / 2)) to (N, C, H, W), zero at all other pixels."""
        spread = _zeros(gradients[0], context.shape)
        spread[:, :, ::2, ::2] = gradients[0]
        return spread


class Diagonal(torch.autograd.Function):
    """The even and the odd pixels of maps, even in both directions and odd in both."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W), H and W even, to twice (N, C, H / 2, W / 2)."""
        context.shape = x.shape
        return _channels_last(x[:, :, ::2, ::2]), _channels_last(x[:, :, 1::2, 1::2])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """(N, C, H / 2, W / 2) of the even and of the odd pixels to (N, C, H, W), zero at all others."""
        spread = _zeros(gradients[0], context.shape)
        spread[:, :, ::2, ::2], spread[:, :, 1::2, 1::2] = gradients
        return spread


class Concatenation(torch.autograd.Function):
    """Maps side by side; each gets a gradient in memory of its own, on which the kernels behind it are quick."""

    @staticmethod
    def forward(context: Any, *maps: Tensor) -> Tensor:
        """(N, C, H, W) each to (N, sum of C, H, W)."""
        context.channels = [x.shape[1] for x in maps]
        return torch.cat(maps, 1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """(N, sum of C, H, W) to the gradient (N, C, H, W) of each map."""
        return tuple(_channels_last(part) for part in gradients[0].split(context.channels, 1))


def _here(x: Tensor) -> bool:
    """Whether gradients will be taken on a CPU, in the precision of the maps."""
    return torch.is_grad_enabled() and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def shared_relu(x: Tensor) -> Tensor:
    """A map's ReLU, which the map keeps for whoever asks next."""
    known: Tensor | None = getattr(x, "relu_kept", None)
    if known is None:
        known = x.relu_kept = F.relu(x)  # type: ignore[attr-defined]
    return known


class Rectifier(nn.ReLU):
    """A ReLU that several operations of one map share."""

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0), of the shape of ``x``."""
        return shared_relu(x) if _here(x) else super().forward(x)


class Reduce(FactorizedReduce):
    """A factorized reduction whose even and odd pixels have one gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, ceil(H / 2), ceil(W / 2))."""
        if not _here(x) or x.shape[2] % 2 or x.shape[3] % 2:
            return super().forward(x)
        even, odd = Diagonal.apply(shared_relu(x))
        return self.bn(torch.cat([F.conv2d(even, self.conv1.weight), F.conv2d(odd, self.conv2.weight)], 1))


class Average(AvgPool3x3):
    """An average pooling that keeps the size, as a convolution of each channel with ones."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return self.convolved(x) if _here(x) else super().forward(x)


class Depthwise(DepthwiseConv2d):
    """A depthwise convolution that keeps the size or halves it, kernel 3 or 5."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        (stride, _), (dilation, _) = self.stride, self.dilation
        if not _here(x) or dilation % stride:
            return super().forward(x)
        if stride == 2:  # a kernel dilated by 2 sees the even pixels alone
            x, dilation = Even.apply(x), dilation // 2
        return DepthwiseGradient.apply(x, self.weight, dilation)


def join(maps: list[Tensor]) -> Tensor:
    """The maps of a cell's nodes side by side, each with a gradient in memory of its own."""
    return Concatenation.apply(*maps) if _here(maps[0]) else concatenate(maps)


def _quick_class(module: nn.Module) -> type[nn.Module] | None:
    if type(module) is FactorizedReduce:
        return Reduce if (module.shift, module.step) == (1, 2) else None
    if type(module) is DepthwiseConv2d and module.in_channels > 1:
        return Depthwise if module.kernel_size[0] == 5 or module.dilation[0] > 1 else None
    if type(module) is AvgPool3x3:
        return Average if (module.stride, module.rate) == (1, 1) else None
    return Rectifier if type(module) is nn.ReLU else None


Network = TypeVar("Network", bound=nn.Module)


def quicken(network: Network) -> Network:
    """The network, its modules of the slow kinds made quick ones; as it was where it saves memory by computing cells
    twice, since maps that keep their ReLU are not the same the second time."""
    if any(getattr(module, "grad_checkpointing", False) for module in network.modules()):
        return network
    for module in network.modules():
        if quick := _quick_class(module):
            module.__class__ = quick
        if hasattr(module, "join"):  # a cell, of a supernet or of a network
            module.join = join  # type: ignore[assignment]
    return network

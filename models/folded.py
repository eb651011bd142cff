"""A path of the supernet with little work: what a search does a million times, apart from what it means.

:class:`~models.supernet.Supernet` says what a path computes; this module computes the same in fewer passes over memory,
to float tolerance, and leaves the network as it is. Weights and BatchNorm statistics come in as mappings, so perturbed
weights need no copy of the supernet. Against the plain path

- one ReLU serves all edges that leave a node, where the plain path takes one per edge;
- BatchNorm with fixed statistics is folded into the convolution before it (Jacob et al., 2018, Section 3.2);
- 3x3 pooling on CPUs takes a maximum or a sum along rows, then along columns, over whole tensors;
- everything is channels-last, and sums are taken in place.

Two normalisations run the same code: :class:`Folded` with given statistics, :class:`Calibrating` with those of the
batch, which it keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.genotype import NODES, Edge, Genotype
from models.operations import AvgPool3x3, FactorizedReduce, MaxPool3x3
from models.pooling import avg_pool, max_pool
from models.supernet import Supernet, SupernetCell

Weights = Mapping[str, Tensor]
"""Parameters by their name in the supernet."""


EPS = 1e-5
"""Of every BatchNorm."""


class Moments(NamedTuple):
    """Mean and variance of each channel, (C,) each."""

    mean: Tensor
    variance: Tensor


Statistics = Mapping[str, Moments]
"""BatchNorm statistics by the norm's name in the supernet."""


class State:
    """A node's output (N, C, H, W) and, once for all edges that ask, its ReLU."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    @cached_property
    def relu(self) -> Tensor:
        return F.relu(self.value)


class Normalisation(Protocol):
    """How BatchNorm is taken: behind a convolution in two steps, or alone behind pooling. Maps may be overwritten."""

    weights: Weights

    def convolve(self, x: Tensor, name: str, norm: str, channels: slice = slice(None), padding: int = 0) -> Tensor:
        """Convolution ``name``, which fills those ``channels`` of BatchNorm ``norm``."""

    def finish(self, x: Tensor, norm: str) -> Tensor:
        """The norm of a map whose channels have all been convolved."""

    def alone(self, x: Tensor, norm: str) -> Tensor:
        """The norm of a map that no convolution made."""


class Folded:
    """Normalisation by fixed statistics, folded into the convolutions once.

    Args:
        weights: of the supernet, perhaps perturbed.
        statistics: of every norm on the path.
        dtype: in which the path is computed; folding is done in the weights' own.
    """

    def __init__(self, weights: Weights, statistics: Statistics, dtype: torch.dtype) -> None:
        self.weights, self.statistics, self.dtype = weights, statistics, dtype
        self._convolutions: dict[str, tuple[Tensor, Tensor]] = {}

    def _affine(self, norm: str) -> tuple[Tensor, Tensor]:
        mean, variance = self.statistics[norm]
        scale = self.weights[f"{norm}.weight"] * torch.rsqrt(variance + EPS)
        return scale, self.weights[f"{norm}.bias"] - mean * scale

    def convolve(self, x: Tensor, name: str, norm: str, channels: slice = slice(None), padding: int = 0) -> Tensor:
        if name not in self._convolutions:
            scale, shift = (vector[channels] for vector in self._affine(norm))
            weight = self.weights[f"{name}.weight"] * scale.view(-1, 1, 1, 1)
            self._convolutions[name] = (
                weight.to(self.dtype, memory_format=torch.channels_last),
                shift.to(self.dtype),
            )
        return F.conv2d(x, *self._convolutions[name], padding=padding)

    def finish(self, x: Tensor, norm: str) -> Tensor:
        return x

    def alone(self, x: Tensor, norm: str) -> Tensor:
        scale, shift = (vector.to(x.dtype).view(1, -1, 1, 1) for vector in self._affine(norm))
        return torch.addcmul(shift, x, scale)


class Calibrating:
    """Normalisation by the statistics of the batch, as BatchNorm has it in training.

    ``seen`` keeps them by the norm's name, the variance unbiased.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.seen: dict[str, Moments] = {}

    def convolve(self, x: Tensor, name: str, norm: str, channels: slice = slice(None), padding: int = 0) -> Tensor:
        return F.conv2d(x, self.weights[f"{name}.weight"], padding=padding)

    def finish(self, x: Tensor, norm: str) -> Tensor:
        return self.alone(x, norm)

    def alone(self, x: Tensor, norm: str) -> Tensor:
        n, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)  # a view of a channels-last map
        mean = rows.mean(0)
        rows = rows.sub_(mean)
        squares = rows.square().sum(0)
        self.seen[norm] = Moments(mean, squares / (len(rows) - 1))
        scale = self.weights[f"{norm}.weight"] * torch.rsqrt(squares / len(rows) + EPS)
        rows = torch.addcmul(self.weights[f"{norm}.bias"], rows, scale, out=rows)
        return rows.view(n, height, width, channels).permute(0, 3, 1, 2)


def _conv_blocks(module: nn.Sequential, name: str, x: State, norm: Normalisation) -> Tensor:
    """(ReLU, depthwise, pointwise, BatchNorm) once or twice."""
    out = x.relu
    for first in range(0, len(module), 4):
        out = F.relu_(out) if first else out
        depthwise = module[first + 1]
        assert isinstance(depthwise, nn.Conv2d)
        weight = norm.weights[f"{name}.{first + 1}.weight"].to(out.dtype)
        out = F.conv2d(out, weight, None, depthwise.stride, depthwise.padding, depthwise.dilation, depthwise.groups)
        behind = f"{name}.{first + 3}"
        out = norm.finish(norm.convolve(out, f"{name}.{first + 2}", behind), behind)
    return out


def _factorized_reduce(module: FactorizedReduce, name: str, relu: Tensor, norm: Normalisation) -> Tensor:
    """Two pointwise convolutions, on the even and on the odd pixels, side by side."""
    half = module.conv1.out_channels
    even, odd = relu[:, :, ::2, ::2], relu[:, :, 1::2, 1::2]
    if odd.shape != even.shape:  # an odd size: the last odd pixel is outside, and zero
        odd = F.pad(odd, (0, even.shape[3] - odd.shape[3], 0, even.shape[2] - odd.shape[2]))
    parts = ((even, "conv1", slice(None, half)), (odd, "conv2", slice(half, None)))
    out = [
        norm.convolve(x.contiguous(memory_format=torch.channels_last), f"{name}.{conv}", f"{name}.bn", channels)
        for x, conv, channels in parts
    ]
    return norm.finish(torch.cat(out, 1), f"{name}.bn")


def _preprocess(module: nn.Module, name: str, relu: Tensor, norm: Normalisation) -> State:
    if isinstance(module, FactorizedReduce):
        return State(_factorized_reduce(module, name, relu, norm))
    return State(norm.finish(norm.convolve(relu, f"{name}.1", f"{name}.2"), f"{name}.2"))


def _operate(module: nn.Module, name: str, x: State, norm: Normalisation) -> Tensor:
    """An edge's output: ``x.value`` itself for an identity, else memory of its own."""
    if isinstance(module, nn.Identity):
        return x.value
    if isinstance(module, FactorizedReduce):
        return _factorized_reduce(module, name, x.relu, norm)
    assert isinstance(module, nn.Sequential)
    pool = module[0]
    if isinstance(pool, MaxPool3x3 | AvgPool3x3):
        pooled = (max_pool if isinstance(pool, MaxPool3x3) else avg_pool)(x.value, pool.stride)
        return norm.alone(pooled, f"{name}.1")
    return _conv_blocks(module, name, x, norm)


def _cell(
    cell: SupernetCell, name: str, inputs: tuple[Tensor, Tensor], edges: tuple[Edge, ...], norm: Normalisation
) -> Tensor:
    """A cell's output for the ReLU of its two inputs."""
    states = {
        0: _preprocess(cell.preprocess0, f"{name}.preprocess0", inputs[0], norm),
        1: _preprocess(cell.preprocess1, f"{name}.preprocess1", inputs[1], norm),
    }
    for node in NODES:
        total, own = None, False
        # An identity hands on its source's memory, so what has its own comes first and takes the sum.
        arriving = sorted((e for e in edges if e.target == node), key=lambda e: e.operation == "skip_connect")
        for edge in arriving:
            module = cell.operation(edge)
            out = _operate(
                module, f"{name}.edges.{edge.source}->{edge.target}.{edge.operation}", states[edge.source], norm
            )
            if total is None:
                total, own = out, not isinstance(module, nn.Identity)
            else:
                total, own = total.add_(out) if own else total + out, True
        assert total is not None, "every node has an input"
        states[node] = State(total)
    return torch.cat([states[node].value for node in NODES], 1)


def run_path(network: Supernet, genotype: Genotype, images: Tensor, norm: Normalisation) -> Tensor:
    """Logits (N, num_classes) of a path for images (N, in_chans, H, W), channels-last."""
    s0 = s1 = F.relu_(norm.finish(norm.convolve(images, "stem.0", "stem.1", padding=1), "stem.1"))
    for index, cell in enumerate(network.cells):
        assert isinstance(cell, SupernetCell)
        out = _cell(cell, f"cells.{index}", (s0, s1), genotype.cell(cell.reduction), norm)
        s0, s1 = s1, F.relu_(out) if index + 1 < len(network.cells) else out
    weights = norm.weights
    return F.linear(s1.float().mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"])


def calibrate(
    network: Supernet, genotype: Genotype, weights: Weights, batches: Iterable[Tensor], momentum: float | None
) -> Statistics:
    """BatchNorm statistics of a path from batches of images, weights as given.

    Args:
        network: what the path runs through; its own statistics are neither read nor changed.
        genotype: the path.
        weights: the network's parameters by name.
        batches: images (N, in_chans, H, W), channels-last.
        momentum: None averages over the batches; else each batch enters the running value, which starts at mean 0 and
            variance 1, with this share.
    """
    running: dict[str, Moments] = {}
    with torch.no_grad():
        for count, images in enumerate(batches, start=1):
            norm = Calibrating(weights)
            run_path(network, genotype, images, norm)
            share = 1 / count if momentum is None else momentum
            for name, new in norm.seen.items():
                start = Moments(torch.zeros_like(new.mean), torch.ones_like(new.variance))
                old = running.get(name, start)
                running[name] = Moments(*(a.lerp(b, share) for a, b in zip(old, new, strict=True)))
    return running

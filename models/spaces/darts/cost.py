"""What a genotype's network costs, by arithmetic; :func:`genas.models.spaces.base.counting.count_macs` counts the
network itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from genas.models.errors import GenasError
from genas.models.spaces.base.cost import Cost
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import NODES, Genotype
from genas.models.spaces.darts.layout import edge_stride, is_reduction, require_shape

IMAGENET_SHAPE = {"width": 48, "layers": 14}
"""The network by which found cells are compared and limited, at 224 pixels, with 1000 classes."""


def _halved(size: int) -> int:
    return (size + 1) // 2


def _convolution(in_channels: int, out_channels: int, kernel: int, size: int, norm: bool = True) -> Cost:
    """One multiply-add for each weight and each pixel of an output of ``size``, and a BatchNorm behind it."""
    weights = in_channels * out_channels * kernel**2
    return Cost(weights + 2 * out_channels * norm, weights * size**2)


def _halving(in_channels: int, channels: int, size: int) -> list[Cost]:
    """FactorizedReduce: a convolution for each half of the channels."""
    halves = (channels // 2, channels - channels // 2)
    return [_convolution(in_channels, half, 1, size) for half in halves]


def _operation(name: str, channels: int, stride: int, size: int) -> list[Cost]:
    """The convolutions of an operation whose output has ``size`` pixels."""
    if name == "skip_connect":
        return _halving(channels, channels, size) if stride == 2 else []
    if "pool" in name:
        return []
    depthwise = _convolution(1, channels, int(name[-1]), size, norm=False)
    return (2 if name.startswith("sep") else 1) * [depthwise, _convolution(channels, channels, 1, size)]


def _layers(
    genotype: Genotype,
    size: int = 224,
    width: int = 48,
    layers: int = 14,
    num_classes: int = 1000,
    in_chans: int = 3,
    stem: str = "imagenet",
    auxiliary: bool = False,
    listed: tuple[Sequence[Edge], Sequence[Edge]] | None = None,
) -> Iterator[Cost]:
    """Each convolution and linear layer of a network; the edges of a cell in the order of ``listed``."""
    require_shape(width, layers, stem)
    if stem == "imagenet":
        half, quarter = _halved(size), _halved(_halved(size))
        size = _halved(quarter)
        yield _convolution(in_chans, width // 2, 3, half)
        yield _convolution(width // 2, width, 3, quarter)
        yield _convolution(width, width, 3, size)
        before = last = width
    else:
        before = last = 3 * width
        yield _convolution(in_chans, last, 3, size)
    normal, reduce = listed or (genotype.normal, genotype.reduce)
    channels, halve = width, stem == "imagenet"
    for index in range(layers):
        reduction = is_reduction(index, layers)
        channels *= 2 if reduction else 1
        yield from _halving(before, channels, size) if halve else [_convolution(before, channels, 1, size)]
        yield _convolution(last, channels, 1, size)
        size = _halved(size) if reduction else size
        for edge in reduce if reduction else normal:
            yield from _operation(edge.operation, channels, edge_stride(reduction, edge.source), size)
        before, last, halve = last, len(NODES) * channels, reduction
    if num_classes:
        yield Cost((last + 1) * num_classes, (2 * last - 1) * num_classes)


def network_cost(genotype: Genotype, size: int = 224, **architecture: Any) -> Cost:
    """The cost of a genotype's network.

    A convolution counts one multiply-add for each weight and output pixel, a linear layer ``2 * in - 1`` for each
    output (the official counter, retrain_architecture/thop/count_hooks.py); BatchNorm, ReLU and pooling count nothing.

    Args:
        genotype: the cells.
        size: height and width of the image.
        architecture: ``width``, ``layers``, ``num_classes``, ``in_chans``, ``stem`` and ``auxiliary`` of
            :class:`~genas.models.spaces.darts.network.GenasNetwork`, whose auxiliary head is not counted.

    Raises:
        GenasError: an unknown stem, an odd width, or too few layers.
    """
    parts = list(_layers(genotype, size, **architecture))
    return Cost(sum(part.params for part in parts), sum(part.macs for part in parts))


def official_cost(
    genotype: Genotype,
    size: int = 224,
    listed: tuple[Sequence[Edge], Sequence[Edge]] | None = None,
    **architecture: Any,
) -> Cost:
    """What the official counter prints for a genotype's network (retrain_architecture/thop/profile.py).

    The same as :func:`network_cost`, but for multiply-adds that are added up in single precision, layer by layer,
    which moves the sum by a few millionths.

    Args:
        genotype: the cells.
        size: height and width of the image.
        listed: the edges of the normal and of the reduction cell in the order in which the official code lists, and so
            adds them; by default that of the genotype.
        architecture: as for :func:`network_cost`.
    """
    total = np.float32(0)
    for part in _layers(genotype, size, listed=listed, **architecture):
        total = np.float32(total + np.float32(part.macs))
    return Cost(network_cost(genotype, size, **architecture).params, int(total))


def fit_width(
    genotype: Genotype, macs: float | None = None, params: float | None = None, size: int = 224, **architecture: Any
) -> int:
    """The even width that brings a genotype's network nearest to a budget, above or below it.

    Near 0.6 G multiply-adds, this gives the widths of the official retraining commands.

    Args:
        genotype: the cells.
        macs: budget of multiply-adds for an image; this or ``params``.
        params: budget of parameters.
        size: height and width of the image.
        architecture: the arguments of :class:`~genas.models.spaces.darts.network.GenasNetwork` but ``width``.

    Raises:
        GenasError: not exactly one budget, or one that no width from 2 to 1024 comes near.
    """
    if (macs is None) == (params is None):
        raise GenasError("a width is fitted to one budget: macs or params")
    which, budget = ("macs", float(macs)) if macs is not None else ("params", float(params or 0))
    # Both costs are polynomials of the second degree in the width: three points give them exactly.
    first, second, third = (getattr(network_cost(genotype, size, width=w, **architecture), which) for w in (2, 4, 6))

    def cost(half: int) -> int:
        step = half - 1
        return first + step * (second - first) + step * (step - 1) // 2 * (third - 2 * second + first)

    halves = range(1, 513)
    above = bisect_right(halves, budget, key=cost)
    if above in (0, len(halves)):
        least, most = cost(halves[0]), cost(halves[-1])
        raise GenasError(f"no width from 2 to 1024 comes near {budget:.4g} {which}, they give {least} to {most}")
    return 2 * min(halves[above - 1], halves[above], key=lambda half: abs(cost(half) - budget))

"""Parameters and multiply-adds of a network, counted without running it on real memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.errors import GenasError
from models.spaces.base.cost import Cost
from models.spaces.base.edge import Edge
from models.spaces.darts.genotype import NODES, PRIMITIVES, Genotype
from models.spaces.darts.network import Cell, GenasNetwork

IMAGENET_SHAPE = {"width": 48, "layers": 14}
"""The network by which found cells are compared and limited, at 224 pixels, with 1000 classes."""


def count_macs(model: nn.Module, size: tuple[int, int], in_chans: int = 3) -> int:
    """Multiply-adds for one image of ``size`` (height, width); what papers call FLOPs.

    A convolution counts one per weight and output pixel, a linear layer ``2 * in - 1`` per output (the convention of
    the official counter, retrain_architecture/thop/count_hooks.py); BatchNorm, ReLU and pooling count nothing.
    """
    aten = torch.ops.aten
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, in_chans, *size, device=device))
    model.train(training)
    counts = counter.get_flop_counts()
    flops, root = counts["Global"], type(model).__name__
    linear = sum(flops.get(op, 0) for op in (aten.addmm, aten.mm))
    ran = (m for name, m in model.named_modules() if isinstance(m, nn.Linear) and f"{root}.{name}" in counts)
    return flops.get(aten.convolution, 0) // 2 + linear - sum(module.out_features for module in ran)


def network_cost(genotype: Genotype, size: int = 224, **architecture: Any) -> Cost:
    """The cost of a genotype's network at ``size`` pixels, built on the ``meta`` device.

    Args:
        genotype: the cells.
        size: height and width of the image.
        architecture: the arguments of :class:`~models.spaces.darts.network.GenasNetwork`, whose auxiliary head is not
            counted.
    """
    with torch.device("meta"):
        network = GenasNetwork(genotype, **{**architecture, "auxiliary": False})
        return Cost(sum(p.numel() for p in network.parameters()), count_macs(network, (size, size)))


def official_cost(
    genotype: Genotype,
    size: int = 224,
    listed: tuple[Sequence[Edge], Sequence[Edge]] | None = None,
    **architecture: Any,
) -> Cost:
    """What the official counter prints for a genotype's network (retrain_architecture/thop/profile.py).

    The same as :func:`network_cost`, but for multiply-adds that are added up in single precision, module by module,
    which moves the sum by a few millionths.

    Args:
        genotype: the cells.
        size: height and width of the image.
        listed: the edges of the normal and of the reduction cell in the order in which the official code lists, and so
            adds them; by default that of the genotype.
        architecture: as for :func:`network_cost`.
    """
    with torch.device("meta"):
        network = GenasNetwork(genotype, **{**architecture, "auxiliary": False}).eval()
        counts: dict[nn.Module, int] = {}

        def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            if isinstance(module, nn.Linear):
                counts[module] = output.numel() * (2 * module.in_features - 1)
            elif isinstance(module, nn.Conv2d):
                counts[module] = output.numel() * module.weight[0].numel()

        for module in network.modules():
            module.register_forward_hook(count)
        with torch.no_grad():
            network(torch.zeros(1, 3, size, size))
    parts: list[nn.Module] = [network.stem0, network.stem1]
    for cell in network.cells:
        assert isinstance(cell, Cell)
        order = cell.edges if listed is None else listed[cell.edges == genotype.reduce]
        parts += [cell.preprocess0, cell.preprocess1, *(cell.operations[cell.edges.index(edge)] for edge in order)]
    total = np.float32(0)
    for part in (*parts, network.classifier):
        for module in part.modules():
            total = np.float32(total + np.float32(counts.get(module, 0)))
    return Cost(sum(p.numel() for p in network.parameters()), int(total))


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
        architecture: the arguments of :class:`~models.spaces.darts.network.GenasNetwork` but ``width``.

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


def _pooled(reduction: bool, edge: Edge | None = None) -> Genotype:
    """Cells of pooling alone, which costs nothing, but for one edge of the normal or the reduction cell."""
    plain = tuple(Edge("max_pool_3x3", source, node) for node in NODES for source in (node - 2, node - 1))
    changed = tuple(edge if edge and edge[1:] == pool[1:] else pool for pool in plain)
    return Genotype(plain, changed) if reduction else Genotype(changed, plain)


@cache
def _parts() -> tuple[Cost, dict[tuple[bool, str, bool], Cost]]:
    """The cost of everything but operations, and of each operation by (reduction, name, strided)."""
    base = network_cost(_pooled(False), 224, **IMAGENET_SHAPE)
    parts = {}
    for name, (reduction, strided) in product(PRIMITIVES[1:], ((False, False), (True, False), (True, True))):
        edge = Edge(name, 0, 2) if strided else Edge(name, 2, 4)
        cost = network_cost(_pooled(reduction, edge), 224, **IMAGENET_SHAPE)
        parts[reduction, name, strided] = Cost(cost.params - base.params, cost.macs - base.macs)
    return base, parts


def imagenet_cost(genotype: Genotype) -> Cost:
    """The cost of a genotype's network of :data:`IMAGENET_SHAPE`.

    The same as :func:`network_cost` gives, added up from the shares of its operations without building it.
    """
    base, parts = _parts()
    chosen = [parts[r, edge.operation, r and edge.source < 2] for r in (False, True) for edge in genotype.cell(r)]
    return Cost(base.params + sum(share.params for share in chosen), base.macs + sum(share.macs for share in chosen))

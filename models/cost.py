"""Parameters and multiply-adds of a network, counted without running it on real memory."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.genotype import NODES, PRIMITIVES, Edge, Genotype
from models.network import GenasNetwork

IMAGENET_SHAPE = {"width": 48, "layers": 14}
"""The network by which found cells are compared and limited, at 224 pixels, with 1000 classes."""


class Cost(NamedTuple):
    """``params``: trainable numbers without the auxiliary head; ``macs``: multiply-adds for one image."""

    params: int
    macs: int


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
        architecture: the arguments of :class:`~models.network.GenasNetwork`; an auxiliary head is not counted.
    """
    with torch.device("meta"):
        network = GenasNetwork(genotype, **{**architecture, "auxiliary": False})
        return Cost(sum(p.numel() for p in network.parameters()), count_macs(network, (size, size)))


def _pooled(reduction: bool, edge: Edge | None = None) -> Genotype:
    """Cells of pooling alone, which costs nothing, but for one edge of the normal or the reduction cell."""
    plain = tuple(Edge("max_pool_3x3", source, node) for node in NODES for source in (node - 2, node - 1))
    changed = tuple(edge if edge and edge[1:] == one[1:] else one for one in plain)
    return Genotype(plain, changed) if reduction else Genotype(changed, plain)


@lru_cache(maxsize=1)
def _parts() -> tuple[Cost, dict[tuple[bool, str, bool], Cost]]:
    """The cost of everything but operations, and of each operation by (reduction, name, strided)."""
    base = network_cost(_pooled(False), 224, **IMAGENET_SHAPE)
    parts = {}
    for name, (reduction, strided) in product(PRIMITIVES[1:], ((False, False), (True, False), (True, True))):
        edge = Edge(name, 0, 2) if strided else Edge(name, 2, 4)
        whole = network_cost(_pooled(reduction, edge), 224, **IMAGENET_SHAPE)
        parts[reduction, name, strided] = Cost(whole.params - base.params, whole.macs - base.macs)
    return base, parts


def imagenet_cost(genotype: Genotype) -> Cost:
    """The cost of a genotype's network of :data:`IMAGENET_SHAPE`.

    The same as :func:`network_cost` gives, added up from the shares of its operations without building it.
    """
    base, parts = _parts()
    chosen = [parts[r, edge.operation, r and edge.source < 2] for r in (False, True) for edge in genotype.cell(r)]
    return Cost(base.params + sum(one.params for one in chosen), base.macs + sum(one.macs for one in chosen))

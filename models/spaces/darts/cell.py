"""How a cell computes, whoever holds its operations: the supernet (all of them) or a network (only its own)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.operations import DENSE, FactorizedReduce, Grid, ReLUConvBN
from genas.models.spaces.darts.genotype import NODES


def concatenate(maps: list[Tensor]) -> Tensor:
    """Maps (N, C, H, W) side by side, (N, sum of C, H, W)."""
    return torch.cat(maps, dim=1)


def run_cell(
    s0: Tensor,
    s1: Tensor,
    edges: Iterable[Edge],
    operate: Callable[[int, Edge, Tensor], Tensor],
    join: Callable[[list[Tensor]], Tensor],
) -> Tensor:
    """Sum what arrives at each intermediate node and concatenate the nodes.

    Args:
        s0, s1: preprocessed outputs of the two cells before, (N, C, H, W).
        edges: the cell's edges in canonical order, sources before targets.
        operate: applies the operation of the i-th edge to its source.
        join: how the nodes are put side by side.

    Returns:
        (N, 4 C, H', W').
    """
    states: dict[int, Tensor] = {0: s0, 1: s1}
    for i, edge in enumerate(edges):
        out = operate(i, edge, states[edge.source])
        states[edge.target] = states[edge.target] + out if edge.target in states else out
    return join([states[node] for node in NODES])


def preprocess(in_channels: int, channels: int, halve: bool, grid: Grid = DENSE) -> nn.Module:
    """Bring a cell input to the cell's width, and to its resolution where the cell before was a reduction."""
    return FactorizedReduce(in_channels, channels, grid) if halve else ReLUConvBN(in_channels, channels)

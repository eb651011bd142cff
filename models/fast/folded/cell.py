"""A cell's nodes in few passes over memory, whatever the space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genas.models.fast.walk import walk
from genas.models.spaces.base.edge import Edge


class State:
    """A node's output (N, C, H, W) and, once for all edges that ask, its ReLU."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    @cached_property
    def relu(self) -> Tensor:
        return F.relu(self.value)


class Sum(NamedTuple):
    """What has arrived at a node, and whether its memory is free to be added to."""

    value: Tensor
    free: bool


def run_nodes(
    inputs: Sequence[Tensor], nodes: Iterable[int], edges: Sequence[Edge], operate: Callable[[Edge, State], Tensor]
) -> list[Tensor]:
    """The maps of a cell's nodes, (N, C, H, W) each.

    Args:
        inputs: the maps of the nodes 0, 1, ... before ``nodes``.
        nodes: those to compute; one that nothing reaches is zero, of the first input's shape.
        edges: the cell's.
        operate: an edge's output for its source: the source's ``value`` itself for an identity, else memory of its own.
    """

    def add(edge: Edge, source: State, total: Sum | None) -> Sum:
        out = operate(edge, source)
        if total is None:
            return Sum(out, out is not source.value)
        return Sum(total.value.add_(out) if total.free else total.value + out, True)

    def finish(node: int, total: Sum | None) -> State:
        return State(torch.zeros_like(inputs[0]) if total is None else total.value)

    # An identity hands on its source's memory, so what has its own comes first and takes the sum.
    states = walk(dict(enumerate(map(State, inputs))), nodes, edges, _is_skip, add, finish)
    return [states[node].value for node in nodes]


def _is_skip(edge: Edge) -> bool:
    return edge.operation == "skip_connect"

"""The weight vector of an architecture, of which RLNAS takes the angle (Zhang et al., 2021).

A cell's part concatenates all paths that lead through it, each as the weights of its edges; what belongs to no edge
follows once. Which paths there are, and what an operation contributes, each space's network says for itself. Paths
share edges, so an edge's weights repeat, as often as paths run through it. Nothing here builds the vector: it stands as
pieces, each with the number of its repetitions, which is all that dot products need.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from genas.models.spaces.base.edge import Edge

Piece = tuple[int, Tensor]
"""How often, and which weights (n,), in double precision."""


def path_counts(edges: Sequence[Edge], starts: Collection[int], ends: Collection[int]) -> list[int]:
    """How many paths from a start to an end run through each edge.

    Args:
        edges: of a cell, whose nodes are numbered so that a source comes before its target.
        starts, ends: nodes.
    """
    nodes = sorted({edge.source for edge in edges} | {edge.target for edge in edges})
    into: dict[int, int] = {}
    for node in nodes:
        into[node] = (node in starts) + sum(into[edge.source] for edge in edges if edge.target == node)
    onward: dict[int, int] = {}
    for node in reversed(nodes):
        onward[node] = (node in ends) + sum(onward[edge.target] for edge in edges if edge.source == node)
    return [into[edge.source] * onward[edge.target] for edge in edges]


def flat(*modules: nn.Module) -> Tensor:
    """The parameters of modules, (n,), in double precision."""
    return torch.cat([p.detach().double().flatten() for module in modules for p in module.parameters()])


def operation_weights(operation: nn.Module, name: str, channels: int) -> Tensor:
    """The weights that an operation contributes, (n,), in double precision.

    Pooling stands as a constant kernel of 1/9 shaped (channels, 3, 3), before a BatchNorm that it may have; a skip
    connection without weights as the identity matrix of its channels.
    """
    parts = [p.detach().double().flatten() for p in operation.parameters()]
    if "pool" in name:
        parts = [torch.full((channels * 9,), 1 / 9, dtype=torch.float64), *parts]
    if not parts:
        return torch.eye(channels, dtype=torch.float64).flatten()
    return torch.cat([part.to(parts[-1].device) for part in parts])

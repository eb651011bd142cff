"""The order in which a cell is computed, node by node and edge by edge, for every quick way of computing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from genas.models.spaces.base.edge import Edge

State = TypeVar("State")
"""A node, as the edges that leave it read it."""
Total = TypeVar("Total")
"""What has arrived at a node so far, added up."""


def walk(
    states: dict[int, State],
    nodes: Iterable[int],
    edges: Sequence[Edge],
    late: Callable[[Edge], bool],
    add: Callable[[Edge, State, Total | None], Total],
    finish: Callable[[int, Total | None], State],
) -> dict[int, State]:
    """Compute the nodes of a cell, each as the sum of what arrives there.

    Args:
        states: the cell's inputs by node; the others are put here too.
        nodes: those to compute, in an order in which every source comes before its target.
        edges: the cell's.
        late: whether an edge arrives at its node after all others that do not; among equals the order is that of
            ``edges``.
        add: applies an edge's operation to its source and adds that to what has arrived, None at first.
        finish: makes a node of its sum, None where no edge arrives.

    Returns:
        ``states``.
    """
    for node in nodes:
        total: Total | None = None
        for edge in sorted((edge for edge in edges if edge.target == node), key=late):
            total = add(edge, states[edge.source], total)
        states[node] = finish(node, total)
    return states

"""What an architecture's graph alone tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genas.models.spaces.nasbench201.cell import NODES, OPERATIONS, Cell201
from genas.models.spaces.nasbench201.cost import nasbench201_cost
from genas.pipeline.laboratory.ranking import Array


def describe(cells: Sequence[str]) -> pd.DataFrame:
    """Architectures by their strings, in their order: ``graph``, a number for each class of those that compute the
    same, in the order of first appearance; ``reachable``, whether no branch is unreachable; ``live``, its live
    convolutions; ``params`` and ``macs`` of the benchmark's network for CIFAR-10."""
    parsed = [Cell201.parse(text) for text in cells]
    costs, live = np.array([nasbench201_cost(cell) for cell in parsed]), [cell.live for cell in parsed]
    return pd.DataFrame(
        {
            "graph": pd.factorize(pd.Series([cell.graph for cell in parsed]))[0],
            "reachable": [len(edges) == len(cell.edges) for edges, cell in zip(live, parsed, strict=True)],
            "live": [sum("conv" in edge.operation for edge in edges) for edges in live],
            "params": costs[:, 0],
            "macs": costs[:, 1],
        },
        index=pd.Index(cells, name="architecture"),
    )


def paths(cell: Cell201) -> tuple[int, int]:
    """How many ways lead from the cell's input to its output, and how many convolutions are on that which has most; 0
    and 0 where none does."""
    ways = {0: 1}
    for edge in cell.live:
        ways[edge.target] = ways.get(edge.target, 0) + ways[edge.source]
    return ways.get(NODES[-1], 0), cell.depth


def features(cells: Sequence[str]) -> Array:
    """What a model is fitted to, (n, 42): the operation of each edge as five indicators, how often each operation
    stands in the cell and how often on a live edge, ways through the cell, and convolutions on that with most."""
    rows = []
    for text in cells:
        cell = Cell201.parse(text)
        names = [edge.operation for edge in cell.live]
        indicators = [operation == other for operation in cell.operations for other in OPERATIONS]
        counts = [of.count(operation) for of in (cell.operations, names) for operation in OPERATIONS]
        rows.append([*indicators, *counts, *paths(cell)])
    return np.array(rows, dtype=np.float64)


def halves(graphs: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places of the search half and of the judging half: every second class of equal graphs in the order of
    appearance, so that what computes the same is never in both.

    Args:
        graphs: the class of each architecture, (n,), numbered in the order of appearance.
    """
    return np.flatnonzero(graphs % 2 == 0), np.flatnonzero(graphs % 2 == 1)

"""A path of a supernet as a program for ``blocks.c``: steps, and where weights and maps lie.

A program is written once for an architecture and a size of images, whatever the weights. It has one form for folded
BatchNorm, where every operation adds into its node's map as it writes, and one for the statistics of a batch, where
sums of maps that are normalised as they are read are steps of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from genas.models.fast.native.steps import Depthwise, Map, Norm, Pointwise, Writer
from genas.models.fast.walk import walk
from genas.models.spaces.base.edge import Edge


class Layout(NamedTuple):
    """What, besides the architecture, a program depends on: the image's shape, C of the network's first cell, its
    cells, the floats of a vector, and whether products are taken in bfloat16."""

    in_chans: int
    channels: int
    cells: int
    height: int
    width: int
    lanes: int
    narrow: bool


class Program(NamedTuple):
    """``steps`` (S, fields of a step), what lies in ``parameters`` floats of weights, the ``arena``'s floats for each
    image, and the maps whose averages are the features."""

    steps: np.ndarray
    depthwise: list[Depthwise]
    pointwise: list[Pointwise]
    norms: list[Norm]
    parameters: int
    arena: int
    features: Map

    @classmethod
    def of(cls, writer: Writer, arena: int, features: Map) -> Program:
        """What a writer has written."""
        steps = np.array(writer.steps, dtype=np.int64)
        return cls(steps, writer.depthwise, writer.pointwise, writer.norms, writer.parameters, arena, features)


class Operate(Protocol):
    """Writes an edge's operation, other than an identity, from its source to ``out``, which may add a map."""

    def __call__(self, edge: Edge, source: Map, out: Map, add: Map | None) -> Map: ...


def write_nodes(
    writer: Writer,
    inputs: Sequence[Map],
    nodes: Iterable[int],
    edges: Sequence[Edge],
    place: Callable[[int], Map],
    term: Map,
    operates: Callable[[Edge], bool],
    operate: Operate,
    finish: Callable[[int, Map | None], Map],
) -> dict[int, Map]:
    """Write the nodes of a cell.

    Args:
        writer: of the program.
        inputs: the maps of the nodes 0, 1, ... before ``nodes``.
        nodes: those to compute.
        edges: the cell's.
        place: where a node's map goes, unless an identity hands on its source's.
        term: in a batch, where an edge's output waits to be added to its node.
        operates: whether an edge has an operation; else it is an identity.
        operate: writes it.
        finish: makes a node of what has been added up, None where no edge arrives.

    Returns:
        The map of every node.
    """

    def add(edge: Edge, source: Map, total: Map | None) -> Map:
        out = place(edge.target)
        if not operates(edge):
            arriving = source
        elif writer.batch:
            free = total is None or total.offset != out.offset
            arriving = operate(edge, source, out if free else term, None)
        else:
            return operate(edge, source, out, total)
        return arriving if total is None else writer.sum(arriving, total, out)

    # Identities come first: what adds to them reads their source's map itself.
    return walk(dict(enumerate(inputs)), nodes, edges, operates, add, finish)

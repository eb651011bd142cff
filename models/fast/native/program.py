"""A path of the supernet as a program for ``blocks.c``: steps, and where weights and maps lie.

A program is written once for an architecture and a size of images, whatever the weights. It has one form for folded
BatchNorm, where every operation adds into its node's map as it writes, and one for the statistics of a batch, where
sums of maps that are normalised as they are read are steps of their own.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from genas.models.fast.native.steps import MEAN, STEM, Depthwise, Map, Norm, Pointwise, Writer, pad
from genas.models.fast.walk import walk
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import NODES, Genotype
from genas.models.spaces.darts.layout import edge_stride, is_reduction


class Layout(NamedTuple):
    """What, besides the genotype, a program depends on."""

    in_chans: int
    channels: int
    layers: int
    height: int
    width: int
    lanes: int


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


class Place(NamedTuple):
    """Offsets of maps in the arena. ``nodes`` of a cell take the place of those two cells before, which are read by
    then; ``term`` is an edge's output that waits to be added to its node."""

    stem: int
    nodes: tuple[int, int]
    inputs: tuple[int, int]
    middle: int
    term: int
    total: int

    @classmethod
    def of(cls, layout: Layout) -> Place:
        """For the largest maps of a network."""
        height, width, channels = layout.height, layout.width, layout.channels
        stem, entry, node = height * width * pad(3 * channels, layout.lanes), 0, 0
        for index in range(layout.layers):
            reduction = is_reduction(index, layout.layers)
            channels *= 2 if reduction else 1
            entry = max(entry, height * width * pad(channels, layout.lanes))
            if reduction:
                height, width = (height + 1) // 2, (width + 1) // 2
            node = max(node, height * width * pad(channels, layout.lanes))
        sizes = (stem, 4 * node, 4 * node, entry, entry, node, node)
        nodes0, nodes1, input0, input1, middle, term, total = accumulate(sizes)
        return cls(0, (nodes0, nodes1), (input0, input1), middle, term, total)


def _cell(
    writer: Writer, place: Place, name: str, channels: int, inputs: tuple[Map, Map], edges: tuple[Edge, ...],
    reduction: bool, reduction_before: bool, nodes: int,
) -> Map:  # fmt: skip
    """Write a cell whose output goes to ``nodes``; the inputs are those of its preprocessing."""
    height, width, padded = inputs[1].height, inputs[1].width, pad(channels, writer.lanes)
    first, second = (Map(offset, 1, height, width, padded) for offset in place.inputs)
    bring = f"{name}.preprocess0"
    states = {
        0: writer.halve(bring, channels, inputs[0], first)
        if reduction_before
        else writer.convolve(f"{bring}.1", f"{bring}.2", inputs[0], first),
        1: writer.convolve(f"{name}.preprocess1.1", f"{name}.preprocess1.2", inputs[1], second),
    }
    if reduction:
        height, width = (height + 1) // 2, (width + 1) // 2
    cell = Map(nodes, len(NODES), height, width, padded)
    middle, term = (cell._replace(offset=offset, parts=1) for offset in (place.middle, place.term))

    def place_of(node: int) -> Map:
        return cell.part(node - NODES[0])

    def operates(edge: Edge) -> bool:
        return edge.operation != "skip_connect" or edge_stride(reduction, edge.source) != 1

    def add(edge: Edge, source: Map, total: Map | None) -> Map:
        out, path = place_of(edge.target), f"{name}.edges.{edge.source}->{edge.target}.{edge.operation}"
        operate = partial(writer.operate, edge, path, edge_stride(reduction, edge.source), channels, source)
        if not operates(edge):
            arriving = source
        elif writer.batch:
            free = total is None or total.offset != out.offset
            arriving = operate(out if free else term, None, middle)
        else:
            return operate(out, total, middle)
        return arriving if total is None else writer.sum(arriving, total, out)

    def finish(node: int, total: Map | None) -> Map:
        assert total is not None, "every node has an input"
        return total if total == place_of(node) else writer.sum(total, None, place_of(node))

    # Identities come first: what adds to them reads their source's map itself.
    walk(states, NODES, edges, operates, add, finish)
    return cell


@lru_cache(maxsize=64)
def write(genotype: Genotype, layout: Layout, batch: bool) -> Program:
    """The program of a path."""
    writer, layers, stem = Writer(layout.lanes, batch), layout.layers, 3 * layout.channels
    height, width, channels = layout.height, layout.width, layout.channels
    place = Place.of(layout)
    image = Map(0, 1, height, width, layout.in_chans)
    made = writer.convolve("stem.0", "stem.1", image, Map(place.stem, 1, height, width, pad(stem, layout.lanes)), STEM)
    inputs, last = (made, made), False
    for index in range(layers):
        reduction = is_reduction(index, layers)
        channels *= 2 if reduction else 1
        out = _cell(
            writer, place, f"cells.{index}", channels, inputs, genotype.cell(reduction), reduction, last,
            place.nodes[index % 2],
        )  # fmt: skip
        inputs, last = (inputs[1], out), reduction
    if not batch:
        writer.step(MEAN, out, out)
    steps = np.array(writer.steps, dtype=np.int64)
    return Program(steps, writer.depthwise, writer.pointwise, writer.norms, writer.parameters, place.total, out)

"""A path of the DARTS supernet as a program for ``blocks.c``."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from genas.models.fast.native.program import Layout, Program, write_nodes
from genas.models.fast.native.steps import AVG_POOL, MAX_POOL, MEAN, STEM, Map, Writer, pad
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import NODES, Genotype
from genas.models.spaces.darts.layout import edge_stride, is_reduction
from genas.models.spaces.darts.supernet import Supernet


class Place(NamedTuple):
    """Offsets of maps in the arena. ``nodes`` of a cell take the place of those two cells before, which are read by
    then; ``middle`` is what a separable convolution's first half leaves, ``term`` an edge's output that waits to be
    added to its node."""

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
        for index in range(layout.cells):
            reduction = is_reduction(index, layout.cells)
            channels *= 2 if reduction else 1
            entry = max(entry, height * width * pad(channels, layout.lanes))
            if reduction:
                height, width = (height + 1) // 2, (width + 1) // 2
            node = max(node, height * width * pad(channels, layout.lanes))
        sizes = (stem, 4 * node, 4 * node, entry, entry, node, node)
        nodes0, nodes1, input0, input1, middle, term, total = accumulate(sizes)
        return cls(0, (nodes0, nodes1), (input0, input1), middle, term, total)


def channels_of(network: Supernet) -> int:
    """C of a supernet's first cell."""
    return network.classifier.in_features // len(NODES) // 2 ** sum(bool(cell.reduction) for cell in network.cells)


def _operate(
    writer: Writer, name: str, operation: str, stride: int, channels: int, x: Map, out: Map, add: Map | None,
    middle: Map,
) -> Map:  # fmt: skip
    """Write an operation, other than the identity; ``middle`` is as large as ``out``."""
    if operation == "skip_connect":
        return writer.halve(name, channels, x, out, add)
    if "pool" in operation:
        return writer.pool(MAX_POOL if "max" in operation else AVG_POOL, f"{name}.1", x, out, add, stride)
    kernel = int(operation[-1])
    if operation.startswith("dil"):
        return writer.block(name, 0, x, out, add, kernel, stride, 2)
    between = writer.block(name, 0, x, middle, None, kernel, stride, 1)
    return writer.block(name, 4, between, out, add, kernel, 1, 1)


def _cell(
    writer: Writer, place: Place, name: str, channels: int, inputs: tuple[Map, Map], edges: tuple[Edge, ...],
    reduction: bool, reduction_before: bool, nodes: int,
) -> Map:  # fmt: skip
    """Write a cell whose output goes to ``nodes``; the inputs are those of its preprocessing."""
    height, width, padded = inputs[1].height, inputs[1].width, pad(channels, writer.lanes)
    first, second = (Map(offset, 1, height, width, padded) for offset in place.inputs)
    bring = f"{name}.preprocess0"
    narrow = [
        writer.halve(bring, channels, inputs[0], first)
        if reduction_before
        else writer.convolve(f"{bring}.1", f"{bring}.2", inputs[0], first),
        writer.convolve(f"{name}.preprocess1.1", f"{name}.preprocess1.2", inputs[1], second),
    ]
    if reduction:
        height, width = (height + 1) // 2, (width + 1) // 2
    cell = Map(nodes, len(NODES), height, width, padded)
    middle, term = (cell._replace(offset=offset, parts=1) for offset in (place.middle, place.term))

    def place_of(node: int) -> Map:
        return cell.part(node - NODES[0])

    def operates(edge: Edge) -> bool:
        return edge.operation != "skip_connect" or edge_stride(reduction, edge.source) != 1

    def operate(edge: Edge, source: Map, out: Map, add: Map | None) -> Map:
        path = f"{name}.edges.{edge.source}->{edge.target}.{edge.operation}"
        stride = edge_stride(reduction, edge.source)
        return _operate(writer, path, edge.operation, stride, channels, source, out, add, middle)

    def finish(node: int, total: Map | None) -> Map:
        assert total is not None, "every node has an input"
        return total if total == place_of(node) else writer.sum(total, None, place_of(node))

    write_nodes(writer, narrow, NODES, edges, place_of, term, operates, operate, finish)
    return cell


@lru_cache(maxsize=64)
def write(genotype: Genotype, layout: Layout, batch: bool) -> Program:
    """The program of a path."""
    writer, cells, stem = Writer(layout.lanes, batch, layout.narrow), layout.cells, 3 * layout.channels
    height, width, channels = layout.height, layout.width, layout.channels
    place = Place.of(layout)
    image = Map(0, 1, height, width, layout.in_chans)
    wide = Map(place.stem, 1, height, width, pad(stem, layout.lanes))
    made = writer.convolve("stem.0", "stem.1", image, wide, kernel=3, kind=STEM)
    inputs, last = (made, made), False
    for index in range(cells):
        reduction = is_reduction(index, cells)
        channels *= 2 if reduction else 1
        out = _cell(
            writer, place, f"cells.{index}", channels, inputs, genotype.cell(reduction), reduction, last,
            place.nodes[index % 2],
        )  # fmt: skip
        inputs, last = (inputs[1], out), reduction
    if not batch:
        writer.step(MEAN, out, out)
    return Program.of(writer, place.total, out)

"""A path of a NAS-Bench-201 network as a program for ``blocks.c``."""

from __future__ import annotations

from functools import lru_cache

from genas.models.errors import GenasError
from genas.models.fast.native.program import Layout, Program, write_nodes
from genas.models.fast.native.steps import AVG_POOL, CONVOLUTION, MEAN, POINTWISE, SHORTCUT, STEM, SUM, Map, Writer, pad
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.nasbench201.cell import NODES, Cell201
from genas.models.spaces.nasbench201.network import NasBench201

STAGES = 3


def channels_of(network: NasBench201) -> int:
    """C of a network's first stage."""
    return network.head[0].num_features // 2 ** (STAGES - 1)


def _convolve(writer: Writer, name: str, x: Map, out: Map, add: Map | None, kernel: int, stride: int = 1) -> Map:
    """A ReLUConvBN."""
    kind = POINTWISE if kernel == 1 else CONVOLUTION
    return writer.convolve(f"{name}.1", f"{name}.2", x, out, add, kernel, stride, kind)


def _cell(writer: Writer, name: str, x: Map, places: list[Map], edges: tuple[Edge, ...]) -> Map:
    """Write a cell; its nodes go to the first three of ``places``, unless they are maps that are there."""

    def place(node: int) -> Map:
        return places[node - NODES[0]]

    def operates(edge: Edge) -> bool:
        return edge.operation != "skip_connect"

    def operate(edge: Edge, source: Map, out: Map, add: Map | None) -> Map:
        if edge.operation == "avg_pool_3x3":
            return writer.pool(AVG_POOL, "", source, out, add, 1)
        path = f"{name}.edges.{edge.source}->{edge.target}.{edge.operation}"
        return _convolve(writer, path, source, out, add, int(edge.operation[-1]))

    def finish(node: int, total: Map | None) -> Map:
        return writer.zero(place(node)) if total is None else total

    return write_nodes(writer, [x], NODES, edges, place, places[-1], operates, operate, finish)[NODES[-1]]


def _reduce(writer: Writer, name: str, x: Map, places: list[Map]) -> Map:
    """Write a residual block, whose output goes to the last of ``places``."""
    first, second, out = places[:3]
    aside = writer.convolve(f"{name}.shortcut.1", "", x, out, stride=2, kind=SHORTCUT)
    inner = _convolve(writer, f"{name}.conv_a", x, first, None, 3, 2)
    if not writer.batch:
        return _convolve(writer, f"{name}.conv_b", inner, out, aside, 3)
    return writer.sum(_convolve(writer, f"{name}.conv_b", inner, second, None, 3), aside, out)


@lru_cache(maxsize=64)
def write(cell: Cell201, layout: Layout, batch: bool) -> Program:
    """The program of a path.

    Raises:
        GenasError: the images cannot be halved twice.
    """
    height, width, channels = layout.height, layout.width, layout.channels
    if height % 4 or width % 4:
        raise GenasError(f"NAS-Bench-201 halves images twice: {height}x{width} pixels are no multiple of 4")
    writer, size = Writer(layout.lanes, batch, layout.narrow), height * width * pad(channels, layout.lanes)
    offsets = [place * size for place in range(5)]
    image, out = Map(0, 1, height, width, layout.in_chans), Map(0, 1, height, width, pad(channels, layout.lanes))
    x = writer.convolve("stem.0", "stem.1", image, out, kernel=3, kind=STEM)
    stage = (layout.cells - STAGES + 1) // STAGES + 1
    for index in range(layout.cells):
        reduces = index % stage == stage - 1
        if reduces:
            height, width, channels = height // 2, width // 2, 2 * channels
        free = (offset for offset in offsets if offset != x.offset)
        places = [Map(offset, 1, height, width, pad(channels, layout.lanes)) for offset in free]
        name = f"cells.{index}"
        x = _reduce(writer, name, x, places) if reduces else _cell(writer, name, x, places, cell.edges)
    norm = writer.norm("head.0", x)
    if batch:
        writer.step(SUM, x, x, norm=norm)
    else:
        writer.step(MEAN, x._replace(affine=norm), x)
    return Program.of(writer, 5 * size, x)

"""The steps that ``blocks.c`` runs, how operations become such steps, and where their weights lie."""

from __future__ import annotations

from typing import NamedTuple

STEM, BLOCK, POINTWISE, CONVOLUTION, SHORTCUT, MAX_POOL, AVG_POOL, SUM, MEAN = range(9)
"""Kinds of steps, as ``blocks.c`` numbers them."""


class Step(NamedTuple):
    """``Step`` of ``blocks.c``, field by field."""

    kind: int
    source: int
    sources: int
    height: int
    width: int
    channels: int
    affine: int = -1
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    shift: int = 0
    out: int = 0
    out_height: int = 0
    out_width: int = 0
    out_channels: int = 0
    first: int = 0
    columns: int = 0
    add: int = -1
    add_affine: int = -1
    depthwise: int = -1
    pointwise: int = -1
    bias: int = -1
    norm: int = -1
    narrow: int = 0


class Map(NamedTuple):
    """``parts`` maps (height, width, channels) one after the other in the arena, normalised by ``affine`` if >= 0."""

    offset: int
    parts: int
    height: int
    width: int
    channels: int
    affine: int = -1

    def part(self, index: int) -> Map:
        return self._replace(offset=self.offset + index * self.height * self.width * self.channels, parts=1)


class Depthwise(NamedTuple):
    """Weights (C, 1, K, K) go to (K^2, ``channels``) at ``offset``."""

    name: str
    offset: int
    channels: int


class Pointwise(NamedTuple):
    """Weights (N, depth, K, K), of channels ``start`` on of ``norm``, go to (sources, depth / sources padded to
    ``depth``, ``columns``) at ``offset``, from column ``column`` on; ``narrow`` ones as bfloat16, those of two rows
    that follow each other side by side."""

    name: str
    norm: str
    start: int
    offset: int
    sources: int
    depth: int
    columns: int
    column: int
    narrow: bool


class Norm(NamedTuple):
    """Parts of ``channels`` floats at ``offset``: scale, shift and, in a batch, weight, bias, mean, variance; of a map
    of ``pixels``."""

    name: str
    offset: int
    channels: int
    pixels: int


def pad(channels: int, lanes: int) -> int:
    """Channels of a map: so many that they fill vectors."""
    return -(-channels // lanes) * lanes


class Writer:
    """Writes steps and says where their weights lie.

    Args:
        lanes: every map has a multiple of this many channels.
        batch: whether steps take statistics of what they wrote, and who reads a map normalises it; else BatchNorm is
            folded, and an operation may add to what it writes.
        narrow: whether all but the stem and depthwise convolutions multiply in bfloat16.
    """

    def __init__(self, lanes: int, batch: bool, narrow: bool = False) -> None:
        self.lanes, self.batch, self.narrow = lanes, batch, narrow
        self.steps: list[Step] = []
        self.depthwise: list[Depthwise] = []
        self.pointwise: list[Pointwise] = []
        self.norms: list[Norm] = []
        self.parameters = 0

    def reserve(self, floats: int) -> int:
        self.parameters += floats
        return self.parameters - floats

    def norm(self, name: str, out: Map) -> int:
        offset = self.reserve((6 if self.batch else 2) * out.channels)
        self.norms.append(Norm(name, offset, out.channels, out.height * out.width))
        return self.norms[-1].offset

    def step(self, kind: int, x: Map, out: Map, add: Map | None = None, norm: int = -1, **more: int) -> Map:
        """Append a step; in a batch, ``norm`` is taken of its output."""
        shape = {"out": out.offset, "out_height": out.height, "out_width": out.width, "out_channels": out.channels}
        if add:
            more |= {"add": add.offset, "add_affine": add.affine}
        more = {"affine": x.affine, "norm": norm if self.batch else -1} | shape | more
        self.steps.append(Step(kind, x.offset, x.parts, x.height, x.width, x.channels, **more))
        return out._replace(affine=norm if self.batch else -1)

    def _pointwise(
        self, name: str, norm: str, start: int, sources: int, depth: int, columns: int, column: int, narrow: bool
    ) -> dict[str, int]:
        """A place for weights, as a step's fields."""
        offset = self.reserve(sources * depth * columns // (2 if narrow else 1))
        self.pointwise.append(Pointwise(name, norm, start, offset, sources, depth, columns, column, narrow))
        return {"pointwise": offset, "columns": columns, "narrow": int(narrow)}

    def _bias(self, norm: int, channels: int) -> int:
        return -1 if self.batch or norm < 0 else norm + channels

    def block(
        self, name: str, first: int, x: Map, out: Map, add: Map | None, kernel: int, stride: int, dilation: int
    ) -> Map:
        """ReLU, depthwise, pointwise and BatchNorm, the modules from ``first`` on."""
        c = x.channels
        behind = f"{name}.{first + 3}"
        depthwise = self.reserve(kernel * kernel * c)
        self.depthwise.append(Depthwise(f"{name}.{first + 1}", depthwise, c))
        where = self._pointwise(f"{name}.{first + 2}", behind, 0, 1, c, c, 0, self.narrow)
        norm = self.norm(behind, out)
        return self.step(
            BLOCK, x, out, add, norm, kernel=kernel, stride=stride, dilation=dilation, depthwise=depthwise,
            bias=self._bias(norm, c), **where,
        )  # fmt: skip

    def convolve(
        self, name: str, behind: str, x: Map, out: Map, add: Map | None = None, kernel: int = 1, stride: int = 1,
        kind: int = POINTWISE,
    ) -> Map:  # fmt: skip
        """Convolution, 1x1 of maps side by side or of a larger kernel, and BatchNorm, if any is ``behind``."""
        # To a larger kernel, its pixels are what maps side by side are to one of 1x1.
        sources = x.parts if kernel == 1 else kernel * kernel
        narrow = self.narrow and kind != STEM
        where = self._pointwise(name, behind, 0, sources, x.channels, out.channels, 0, narrow)
        norm = self.norm(behind, out) if behind else -1
        bias = self._bias(norm, out.channels)
        return self.step(kind, x, out, add, norm, kernel=kernel, stride=stride, bias=bias, **where)

    def halve(self, name: str, channels: int, x: Map, out: Map, add: Map | None = None) -> Map:
        """FactorizedReduce: two convolutions that fill a half of the channels each. Where a half ends inside a vector,
        each fills all channels, with weights of zero for those of the other, and the second adds to the first."""
        half, norm = channels // 2, self.norm(f"{name}.bn", out)
        padded = half % self.lanes != 0
        for shift, start in enumerate((0, half)):
            first, last = (0, out.channels) if padded else (start, half if shift == 0 else out.channels)
            columns = last - first
            where = self._pointwise(
                f"{name}.conv{shift + 1}", f"{name}.bn", start, x.parts, x.channels, columns, start - first, self.narrow
            )
            twice = shift == 1 and padded
            made = self.step(
                POINTWISE, x, out, out._replace(affine=-1) if twice else add, norm if shift else -1,
                stride=2, shift=shift, first=first, bias=-1 if twice else self._bias(norm, out.channels), **where,
            )  # fmt: skip
        return made

    def pool(self, kind: int, behind: str, x: Map, out: Map, add: Map | None, stride: int) -> Map:
        """3x3 pooling and BatchNorm, if any is ``behind``. Its step has the source's affine in the place of the added
        map's."""
        norm = self.norm(behind, out) if behind else -1
        made = self.step(kind, x, out, add, norm, kernel=3, stride=stride, affine=-1 if self.batch else norm)
        self.steps[-1] = self.steps[-1]._replace(add_affine=x.affine)
        return made

    def sum(self, x: Map, y: Map | None, out: Map) -> Map:
        """What a node adds up where no operation does it, normalised by now."""
        self.step(SUM, x, out, y)
        return out

    def zero(self, out: Map) -> Map:
        """A node that nothing reaches."""
        self.step(SUM, out._replace(parts=0), out)
        return out

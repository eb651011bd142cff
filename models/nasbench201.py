"""The search space of NAS-Bench-201 (Dong and Yang, 2020): one cell of four nodes, five operations on six edges.

Node 0 is the cell's input and node 3 its output; every node adds up what arrives from the nodes before it. A network
has three stages of equal cells, and between them residual blocks that halve the resolution and double the channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.errors import GenasError
from models.oneshot import OneShot
from models.operations import AvgPool3x3, ReLUConvBN
from models.path_vector import Piece, flat, operation_weights, path_counts

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the benchmark; ``none`` carries nothing."""
NODES = (1, 2, 3)
EDGES = tuple((source, target) for target in NODES for source in range(target))
"""The six edges in the order of an architecture string: 0->1, 0->2, 1->2, 0->3, 1->3, 2->3."""


class Edge(NamedTuple):
    """One edge of a cell: ``operation`` carries node ``source`` to node ``target``."""

    operation: str
    source: int
    target: int


@dataclass(frozen=True, order=True)
class Cell201:
    """An architecture: the operation of each edge, in the order of :data:`EDGES`.

    Raises:
        GenasError: not six operations of the space.
    """

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES):
            raise GenasError(f"a NAS-Bench-201 cell has {len(EDGES)} operations, got {len(self.operations)}")
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise GenasError(f"unknown operation {operation!r}, expected one of {', '.join(OPERATIONS)}")

    @classmethod
    def parse(cls, text: str) -> Cell201:
        """The inverse of ``str``.

        Raises:
            GenasError: not an architecture string of the benchmark.
        """
        tokens = [token for node in text.split("+") for token in node.strip("|").split("|")]
        cell = cls(tuple(token.partition("~")[0] for token in tokens))
        if str(cell) != text:
            raise GenasError(f"{text!r} is no architecture string, expected one such as {cell}")
        return cell

    def __str__(self) -> str:
        """The benchmark's string, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        nodes: dict[int, str] = dict.fromkeys(NODES, "|")
        for operation, (source, target) in zip(self.operations, EDGES, strict=True):
            nodes[target] += f"{operation}~{source}|"
        return "+".join(nodes.values())

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges that carry something."""
        pairs = zip(self.operations, EDGES, strict=True)
        return tuple(Edge(operation, *edge) for operation, edge in pairs if operation != "none")

    @property
    def graph(self) -> str:
        """The same for cells that compute the same: what the output is made of, with skip connections contracted.

        The benchmark's ``to_unique_str``, whose 6,466 classes it counts as different architectures; a term that is
        zero stays in the sum as ``#``.
        """
        nodes = ["0"]
        for target in NODES:
            terms = []
            for operation, (source, node) in zip(self.operations, EDGES, strict=True):
                if node != target:
                    continue
                before = nodes[source]
                if operation == "none" or before == "#":
                    terms.append("#")
                else:
                    terms.append(before if operation == "skip_connect" else f"({before})@{operation}")
            nodes.append("+".join(sorted(terms)))
        return nodes[-1]


def all_cells() -> Iterator[Cell201]:
    """The 15,625 architectures."""
    return map(Cell201, product(OPERATIONS, repeat=len(EDGES)))


def random_cell(rng: np.random.Generator) -> Cell201:
    """A uniform sample of the space."""
    return Cell201(tuple(OPERATIONS[i] for i in rng.integers(len(OPERATIONS), size=len(EDGES))))


def _operation(name: str, channels: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return AvgPool3x3(1, 1)
    return ReLUConvBN(channels, channels, int(name[-1]))


class SearchCell(nn.Module):
    """A cell that holds the operations of all architectures, or of one."""

    def __init__(self, channels: int, cell: Cell201 | None) -> None:
        super().__init__()
        chosen = dict(zip(EDGES, cell.operations, strict=True)) if cell else {}
        self.channels = channels
        self.edges = nn.ModuleDict()
        for source, target in EDGES:
            names = [chosen[source, target]] if chosen else OPERATIONS
            held = {name: _operation(name, channels) for name in names if name != "none"}
            self.edges[f"{source}->{target}"] = nn.ModuleDict(held)

    def operation(self, edge: Edge) -> nn.Module:
        """The module that ``edge`` selects."""
        choices = self.edges[f"{edge.source}->{edge.target}"]
        assert isinstance(choices, nn.ModuleDict)
        return choices[edge.operation]

    def forward(self, x: Tensor, edges: tuple[Edge, ...]) -> Tensor:
        """(N, C, H, W) to the same; a node that nothing reaches is zero."""
        states: list[Tensor | None] = [x, None, None, None]
        for edge in edges:
            source, before = states[edge.source], states[edge.target]
            out = self.operation(edge)(torch.zeros_like(x) if source is None else source)
            states[edge.target] = out if before is None else before + out
        return torch.zeros_like(x) if states[-1] is None else states[-1]


class ResidualReduction(nn.Module):
    """The residual block between two stages: (N, C, H, W) to (N, 2 C, H / 2, W / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(channels, 2 * channels, 3, 2)
        self.conv_b = ReLUConvBN(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


class NasBench201(OneShot[Cell201]):
    """A network of the space: the weight-sharing one of all architectures, or that of one.

    Args:
        num_classes: outputs of the classifier.
        channels: of the first stage (benchmark: 16).
        cells: in each stage (benchmark: 5).
        in_chans: channels of the images.
        cell: the one architecture that a stand-alone network has; none, and it is a supernet.
    """

    def __init__(
        self, num_classes: int, channels: int = 16, cells: int = 5, in_chans: int = 3, cell: Cell201 | None = None
    ) -> None:
        super().__init__()
        self.cell = cell
        self.stem = nn.Sequential(nn.Conv2d(in_chans, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        for stage in range(3):
            if stage:
                self.cells.append(ResidualReduction(channels))
                channels *= 2
            self.cells.extend(SearchCell(channels, cell) for _ in range(cells))
        self.head = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor, cell: Cell201 | None = None) -> Tensor:
        """Logits (N, num_classes) for images (N, in_chans, H, W).

        Args:
            x: the images.
            cell: the path; a stand-alone network has its own.
        """
        edges = self._of(cell).edges
        x = self.stem(x)
        for part in self.cells:
            x = part(x, edges) if isinstance(part, SearchCell) else part(x)
        return self.classifier(self.head(x).mean((2, 3)))

    def _of(self, cell: Cell201 | None) -> Cell201:
        chosen = cell or self.cell
        assert chosen is not None, "a supernet is given the architecture"
        return chosen

    def path_modules(self, cell: Cell201) -> list[nn.Module]:
        """The modules that ``cell`` runs through."""
        modules: list[nn.Module] = [self.stem]
        for part in self.cells:
            modules += [part.operation(edge) for edge in cell.edges] if isinstance(part, SearchCell) else [part]
        return [*modules, self.head, self.classifier]

    def weighted_vectors(self, cell: Cell201) -> Iterator[Piece]:
        """As RLNAS has it in this space (nas_bench_201/exps/angle/weight_angle.py). A cell's paths lead from node 0 to
        node 3; an edge counts with its convolution's weights, without BatchNorm, with a kernel of 1/9 for pooling, and
        not at all for a skip connection; what every architecture has counts once. Without a path there is no vector."""
        counts = path_counts(cell.edges, starts=(0,), ends=(NODES[-1],))
        if not any(counts):
            return
        yield 1, flat(self.stem)
        for part in self.cells:
            if not isinstance(part, SearchCell):
                yield 1, flat(part)
                continue
            for edge, count in zip(cell.edges, counts, strict=True):
                operation = part.operation(edge)
                if isinstance(operation, ReLUConvBN):
                    yield count, flat(operation[1])
                elif isinstance(operation, AvgPool3x3):
                    yield count, operation_weights(operation, edge.operation, part.channels)
        yield 1, flat(self.head, self.classifier)

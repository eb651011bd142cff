"""An architecture of NAS-Bench-201 (Dong and Yang, 2020): one cell of four nodes, five operations on six edges.

Node 0 is the cell's input and node 3 its output; every node adds up what arrives from the nodes before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from genas.models.errors import GenasError
from genas.models.spaces.base.edge import Edge

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the benchmark; ``none`` carries nothing."""
NODES = (1, 2, 3)
EDGES = tuple((source, target) for target in NODES for source in range(target))
"""The six edges in the order of an architecture string: 0->1, 0->2, 1->2, 0->3, 1->3, 2->3."""


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
    def depth(self) -> int:
        """Convolutions on that path from the input to the output that has most of them, 0 to 3; 0 where none leads
        there."""
        most: dict[int, int] = {0: 0}
        for edge in self.edges:
            if edge.source in most:
                convolutions = most[edge.source] + edge.operation.startswith("nor_conv")
                most[edge.target] = max(most.get(edge.target, 0), convolutions)
        return most.get(NODES[-1], 0)

    @property
    def live(self) -> tuple[Edge, ...]:
        """The edges on a path from the cell's input to its output; what the others compute is lost, or they carry
        zeros. Of 9,445 architectures these are all :attr:`edges`: they have no unreachable branch."""
        reached, leading = {0}, {NODES[-1]}
        for edge in self.edges:  # in the order of their targets
            reached |= {edge.target} if edge.source in reached else set()
        for edge in reversed(self.edges):
            leading |= {edge.source} if edge.target in leading else set()
        return tuple(edge for edge in self.edges if edge.source in reached and edge.target in leading)

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


def mutate(parent: Cell201, rng: np.random.Generator, probability: float) -> Cell201:
    """Redraw each edge with ``probability``, as in the DARTS space."""
    hit, drawn = rng.random(len(EDGES)) < probability, random_cell(rng).operations
    return Cell201(
        tuple(new if hit[i] else old for i, (old, new) in enumerate(zip(parent.operations, drawn, strict=True)))
    )


def cross(first: Cell201, second: Cell201, rng: np.random.Generator) -> Cell201:
    """Take each edge from one parent or the other with equal chance."""
    take = rng.random(len(EDGES)) < 0.5
    pairs = zip(first.operations, second.operations, strict=True)
    return Cell201(tuple(pair[0] if take[i] else pair[1] for i, pair in enumerate(pairs)))

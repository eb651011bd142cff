"""What an architecture of the DARTS space is: a frozen pair of cells.

A cell is a small graph: nodes 0 and 1 are the outputs of the two cells before it, nodes 2 to 5 add up what
arrives on their incoming edges, and the cell's output is the concatenation of nodes 2 to 5. An edge carries one
of seven operations; in the search space every node keeps exactly two incoming edges (Liu et al., DARTS, 2018).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from genas.models.errors import GenasError
from genas.models.spaces.base.edge import Edge

PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The operations of the DARTS space; an encoding stores their index, and ``none`` (0) means "no edge"."""

NODES = (2, 3, 4, 5)
"""The intermediate nodes of a cell."""

EDGES = tuple((source, target) for target in NODES for source in range(target))
"""The 14 possible edges of a cell in the order of the encoding: 0->2, 1->2, 0->3, 1->3, 2->3, ..., 4->5."""

INPUTS_PER_NODE = 2


def _cell(edges: Iterable[Sequence[Any]], name: str) -> tuple[Edge, ...]:
    """Validated edges in canonical order (by target, then source)."""
    cell = []
    for edge in edges:
        if not isinstance(edge, (list, tuple)) or len(edge) != 3:
            raise GenasError(f"{name} cell: {edge!r} is not an edge [operation, source, target]")
        operation, source, target = edge
        if not isinstance(operation, str) or operation not in PRIMITIVES[1:]:
            raise GenasError(
                f"{name} cell: unknown operation {operation!r}, expected one of {', '.join(PRIMITIVES[1:])}"
            )
        # True is 1 and 2.0 is 2 in Python, but neither numbers a node.
        if type(source) is not int or type(target) is not int or (source, target) not in EDGES:
            raise GenasError(f"{name} cell: no edge leads from node {source!r} to node {target!r}")
        cell.append(Edge(operation, source, target))
    pairs = [(edge.source, edge.target) for edge in cell]
    for pair in pairs:
        if pairs.count(pair) > 1:
            raise GenasError(f"{name} cell: edge {pair[0]}->{pair[1]} is given twice")
    for node in NODES:
        if not any(edge.target == node for edge in cell):
            raise GenasError(f"{name} cell: node {node} has no input")
    return tuple(sorted(cell, key=lambda edge: (edge.target, edge.source)))


def spelled(encoding: Iterable[int]) -> str:
    """An encoding as tables have it: its integers with spaces between them."""
    return " ".join(map(str, encoding))


@dataclass(frozen=True)
class Genotype:
    """A pair of cells; hashable, ordered canonically, so equal architectures compare equal.

    Raises:
        GenasError: an unknown operation, an impossible or doubled edge, a node without input.
    """

    normal: tuple[Edge, ...]
    reduce: tuple[Edge, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "normal", _cell(self.normal, "normal"))
        object.__setattr__(self, "reduce", _cell(self.reduce, "reduce"))

    def cell(self, reduction: bool) -> tuple[Edge, ...]:
        """The reduction cell's edges or the normal cell's."""
        return self.reduce if reduction else self.normal

    def require_two_inputs(self) -> Genotype:
        """This genotype, if it lies in the search space.

        Raises:
            GenasError: a node has other than two inputs (published cells of FairDARTS do; searched ones never).
        """
        for name, cell in (("normal", self.normal), ("reduce", self.reduce)):
            for node in NODES:
                count = sum(edge.target == node for edge in cell)
                if count != INPUTS_PER_NODE:
                    raise GenasError(
                        f"{name} cell: node {node} has {count} inputs, the search space has {INPUTS_PER_NODE}"
                    )
        return self

    def __str__(self) -> str:
        """The encoding as text (:func:`spelled`)."""
        return spelled(self.encode())

    @classmethod
    def parse(cls, text: str) -> Genotype:
        """The inverse of ``str``.

        Raises:
            GenasError: not an encoding as text.
        """
        try:
            return cls.decode([int(number) for number in text.split()])
        except ValueError:
            raise GenasError(f"{text!r} is no encoding as text") from None

    def encode(self) -> tuple[int, ...]:
        """28 integers: the 14 edges of the normal cell, then of the reduction cell, as indices into PRIMITIVES."""
        code = []
        for cell in (self.normal, self.reduce):
            by_pair = {(edge.source, edge.target): PRIMITIVES.index(edge.operation) for edge in cell}
            code += [by_pair.get(pair, 0) for pair in EDGES]
        return tuple(code)

    @classmethod
    def decode(cls, encoding: Sequence[int]) -> Genotype:
        """The inverse of :meth:`encode`.

        Raises:
            GenasError: not 28 integers in 0..7.
        """
        numbers = [int(i) for i in encoding if isinstance(i, Integral) and not isinstance(i, bool)]
        if not len(encoding) == len(numbers) == 2 * len(EDGES) or not all(0 <= i < len(PRIMITIVES) for i in numbers):
            raise GenasError(
                f"an encoding is {2 * len(EDGES)} integers in 0..{len(PRIMITIVES) - 1}, got {list(encoding)!r}"
            )
        cells = [
            tuple(Edge(PRIMITIVES[i], *pair) for i, pair in zip(half, EDGES, strict=True) if i)
            for half in (numbers[: len(EDGES)], numbers[len(EDGES) :])
        ]
        return cls(*cells)

    def to_dict(self) -> dict[str, Any]:
        """As lists, the form of ``genotype.json``."""
        return {"normal": [list(edge) for edge in self.normal], "reduce": [list(edge) for edge in self.reduce]}

    @classmethod
    def from_dict(cls, data: Any) -> Genotype:
        """From ``{"normal": [[operation, source, target], ...], "reduce": [...]}``; other keys are ignored.

        Raises:
            GenasError: a cell is missing or wrong.
        """
        for key in ("normal", "reduce"):
            if not isinstance(data, dict) or not isinstance(data.get(key), (list, tuple)):
                raise GenasError(f"a genotype has a list of edges under {key!r}")
            concat = data.get(f"{key}_concat", list(NODES))
            if not isinstance(concat, (list, tuple)) or list(concat) != list(NODES):
                raise GenasError(f"{key}_concat is {concat!r}; only {list(NODES)} is supported")
        return cls(data["normal"], data["reduce"])

    def save(self, path: Path, **more: Any) -> None:
        """Write JSON: the cells, the encoding and whatever else is given."""
        path.write_text(json.dumps({**self.to_dict(), "encoding": list(self.encode()), **more}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Genotype:
        """Read what :meth:`save` wrote.

        Raises:
            GenasError: the file is missing, no JSON, or no genotype; the message names it.
        """
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except FileNotFoundError:
            raise GenasError(f"{path}: no such genotype file") from None
        except OSError as error:
            raise GenasError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise GenasError(f"{path}: not JSON ({error})") from None
        except GenasError as error:
            raise GenasError(f"{path}: {error}") from None


def _repair(code: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bring every node of a 14-integer cell to exactly two inputs: drop or add edges at random."""
    code = code.copy()
    for node in NODES:
        slots = np.array([i for i, (_, target) in enumerate(EDGES) if target == node])
        used = slots[code[slots] > 0]
        if len(used) > INPUTS_PER_NODE:
            code[rng.choice(used, len(used) - INPUTS_PER_NODE, replace=False)] = 0
        elif len(used) < INPUTS_PER_NODE:
            free = slots[code[slots] == 0]
            added = rng.choice(free, INPUTS_PER_NODE - len(used), replace=False)
            code[added] = rng.integers(1, len(PRIMITIVES), len(added))
    return code


def _from_halves(normal: np.ndarray, reduce: np.ndarray, rng: np.random.Generator) -> Genotype:
    return Genotype.decode([int(i) for i in np.concatenate([_repair(normal, rng), _repair(reduce, rng)])])


def random_genotype(rng: np.random.Generator) -> Genotype:
    """A uniform sample of the space: two of each node's edges, each with a uniform operation."""
    empty = np.zeros(len(EDGES), dtype=np.int64)
    return _from_halves(empty, empty, rng)


def sample(count: int, seed: int) -> list[Genotype]:
    """Different random architectures; the first n of a larger sample are the sample of n."""
    rng, found = np.random.default_rng([seed, 5]), dict[Genotype, None]()
    while len(found) < count:
        found[random_genotype(rng)] = None
    return list(found)


def mutate(parent: Genotype, rng: np.random.Generator, probability: float, cells: str = "both") -> Genotype:
    """Redraw each edge with ``probability`` (``none`` included), then repair to two inputs a node.

    Args:
        parent: the architecture to change.
        rng: the source of randomness.
        probability: of redrawing one edge; the official search uses 0.1.
        cells: ``both``, or ``normal`` as the official search, which leaves the reduction cell alone.
    """
    code = np.array(parent.encode())
    hit = rng.random(len(code)) < probability
    draws = rng.integers(0, len(PRIMITIVES), len(code))
    if cells == "normal":
        hit[len(EDGES) :] = False
    code = np.where(hit, draws, code)
    return _from_halves(code[: len(EDGES)], code[len(EDGES) :], rng)


def cross(first: Genotype, second: Genotype, rng: np.random.Generator) -> Genotype:
    """Take each edge from one parent or the other with equal chance, then repair to two inputs a node."""
    take = rng.random(2 * len(EDGES)) < 0.5
    code = np.where(take, first.encode(), second.encode())
    return _from_halves(code[: len(EDGES)], code[len(EDGES) :], rng)

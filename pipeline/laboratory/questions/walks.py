"""What a search finds with a score, which is what a score is for: searches on tabulated scores.

A sample of the space has few neighbours in it: of the 24 architectures that differ in one operation, one in forty is
among 400. So on a sample a proposal is replaced by the architecture of the sample nearest to it, in operations that
differ, that is not yet seen; ties are drawn. On the whole space it is the proposal itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from genas.models.spaces.nasbench201.cell import EDGES, OPERATIONS, Cell201, cross, mutate
from genas.pipeline.config import WalkParams
from genas.pipeline.laboratory.ranking import Array
from genas.pipeline.laboratory.scores import Score, Stored
from genas.pipeline.search.proposing import PATIENCE, Moves, propose

STRATEGIES = ("evolution", "regularised evolution", "random search")


class Ground:
    """The architectures that a search may look at, by their places.

    Args:
        cells: their strings.
    """

    def __init__(self, cells: Iterable[str]) -> None:
        self.cells = [Cell201.parse(text) for text in cells]
        self.codes = np.array([_code(cell) for cell in self.cells])
        self.places = {cell: place for place, cell in enumerate(self.cells)}

    def place(self, cell: Cell201, seen: set[int], rng: np.random.Generator) -> int:
        """Where a proposal is; of one that is not here, where that unseen one is which differs in fewest operations."""
        if cell in self.places:
            return self.places[cell]
        apart = (self.codes != _code(cell)).sum(1)
        apart[list(seen)] = len(OPERATIONS) * len(EDGES)
        return int(rng.choice(np.flatnonzero(apart == apart.min())))


def _code(cell: Cell201) -> list[int]:
    return [OPERATIONS.index(operation) for operation in cell.operations]


def another(parent: Cell201, rng: np.random.Generator) -> Cell201:
    """One edge with another operation: the mutation of regularised evolution (Real et al., 2019)."""
    operations, place = list(parent.operations), int(rng.integers(len(EDGES)))
    operations[place] = str(rng.choice([other for other in OPERATIONS if other != operations[place]]))
    return Cell201(tuple(operations))


def evolve(ground: Ground, scores: Array, params: WalkParams, rng: np.random.Generator) -> list[int]:
    """The evolution of the stage ``search``: places in the order in which they are looked at."""
    order: list[int] = []
    seen: set[int] = set()

    def placed(cell: Cell201, rng: np.random.Generator) -> int:
        return ground.place(cell, seen, rng)

    moves = Moves[int](
        draw=lambda rng: int(rng.integers(len(ground.cells))),
        mutate=lambda one, rng: placed(mutate(ground.cells[one], rng, params.mutation_probability), rng),
        cross=lambda one, two, rng: placed(cross(ground.cells[one], ground.cells[two], rng), rng),
        allowed=lambda place: True,
    )
    for _ in range(params.generations):
        parents = sorted(order, key=lambda place: -scores[place])[: params.parents]
        order += propose(parents, seen, params, moves, rng)
    return order


def regularised(ground: Ground, scores: Array, params: WalkParams, rng: np.random.Generator) -> list[int]:
    """Regularised evolution (Real et al., 2019): the best of a tournament among the youngest has a child, and the
    oldest dies. A child that was seen before is drawn again, at last any other."""
    order = [int(place) for place in rng.permutation(len(ground.cells))[: params.population]]
    young, seen = deque(order, maxlen=params.population), set(order)
    while len(order) < min(params.population * params.generations, len(ground.cells)):
        entered = rng.choice(np.array(young), min(params.tournament, len(young)), replace=False)
        parent = int(entered[scores[entered].argmax()])
        for _ in range(PATIENCE):
            child = ground.place(another(ground.cells[parent], rng), seen, rng)
            if child not in seen:
                break
        else:
            child = int(rng.choice(np.setdiff1d(np.arange(len(ground.cells)), order)))
        young.append(child)
        order.append(child)
        seen.add(child)
    return order


def wander(ground: Ground, scores: Array, params: WalkParams, rng: np.random.Generator) -> list[int]:
    """Random search."""
    return [int(place) for place in rng.permutation(len(ground.cells))[: params.population * params.generations]]


def winners(order: Sequence[int], scores: Array, truth: Array) -> Array:
    """The truth of the one with the highest score so far, after each evaluation, (evaluations,)."""
    seen = scores[list(order)]
    best = np.maximum.accumulate(seen)
    new = np.concatenate([[True], seen[1:] > best[:-1]])
    last = np.maximum.accumulate(np.where(new, np.arange(len(seen)), 0))
    return np.asarray(truth[list(order)][last])


def walks(
    runs: Sequence[Stored], scores: Mapping[str, Score], truth: Array, params: WalkParams, about: Mapping[str, str]
) -> pd.DataFrame:
    """Mean true accuracy of the winner, and its standard deviation over walks, after each generation's evaluations.

    Args:
        runs: supernets, which walks take in turn.
        scores: by name.
        truth: accuracies in percent, (n,).
        params: sizes and number of walks.
        about: what else stands in each row.
    """
    ground, rows = Ground(runs[0].table["architecture"]), []
    for name, score in scores.items():
        values = [score(run) for run in runs]
        for strategy, walk in zip(STRATEGIES, (evolve, regularised, wander), strict=True):
            curves = []
            for number in range(params.walks):
                table, rng = values[number % len(values)], np.random.default_rng([201, number])
                curves.append(winners(walk(ground, table, params, rng), table, truth))
            ends = range(params.population, min(map(len, curves)) + 1, params.population)
            for end in ends:
                found = [curve[end - 1] for curve in curves]
                row = {**about, "score": name, "strategy": strategy, "evaluations": end}
                rows.append(
                    {**row, "accuracy": float(np.mean(found)), "spread": float(np.std(found)), "best": truth.max()}
                )
    return pd.DataFrame(rows)

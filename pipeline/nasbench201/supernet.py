"""The ``supernet201`` stage: the one-shot network of NAS-Bench-201, trained as that of the DARTS space is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from genas.models.spaces.nasbench201.cell import EDGES, OPERATIONS, Cell201, all_cells, random_cell
from genas.pipeline.context import Context
from genas.pipeline.nasbench201.network import build, training_of
from genas.pipeline.supernet.training import draw_uniformly, train
from genas.pipeline.supernet.weights import SNAPSHOTS


def fair(rng: np.random.Generator) -> Iterator[Cell201]:
    """Paths in rounds of five, in which each operation of each edge has one turn (Chu et al., FairNAS, 2021)."""
    while True:
        turns = rng.permuted(np.tile(np.arange(len(OPERATIONS)), (len(EDGES), 1)), axis=1)
        for turn in turns.T:
            yield Cell201(tuple(OPERATIONS[i] for i in turn))


def balanced(rng: np.random.Generator) -> Iterator[Cell201]:
    """Paths of one, two and three convolutions in a row, or fewer, as often as each other; uniform among those of one
    depth. Of uniform paths a twelfth have three. After the balanced sampling of the few-shot supernets that AZ-NAS
    (Lee and Ham, 2024) compares with."""
    groups = [[cell for cell in all_cells() if max(cell.depth, 1) == depth] for depth in (1, 2, 3)]
    while True:
        group = groups[rng.integers(len(groups))]
        yield group[rng.integers(len(group))]


DRAWS = {"uniform": draw_uniformly(random_cell), "fair": fair, "balanced": balanced}
"""The values of ``supernet.sampling``."""


def run(context: Context) -> dict[str, float]:
    """Train one supernet; leaves initial and trained weights, the history and a folder of snapshots."""
    training, measures = training_of(context), context.params.nasbench201.required.measures
    (context.out / SNAPSHOTS).mkdir(exist_ok=True)
    return train(context, partial(build, context), training, measures, DRAWS[training.sampling], training.snapshots)

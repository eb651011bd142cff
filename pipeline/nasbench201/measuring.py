"""The stages ``nasbench201`` and ``snapshots201``: everything that is measured of architectures in one supernet of
NAS-Bench-201, as training left it or on the way (:mod:`pipeline.scoring.readings`)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from models.errors import GenasError
from models.spaces.nasbench201.cell import Cell201, all_cells
from models.spaces.nasbench201.cost import nasbench201_cost
from models.spaces.nasbench201.network import NasBench201
from pipeline.context import Context
from pipeline.nasbench201.network import load, training_of
from pipeline.scoring.measuring import Request, Score
from pipeline.scoring.readings import read_all, reader
from pipeline.supernet.weights import weights_of

DRAWN = 201
"""Seed of the sample, the same for all runs."""


def sample(count: int | None) -> list[Cell201]:
    """Architectures spread evenly along the number of parameters, in that order: one from each of ``count`` strata of
    equal size. None takes all 15,625."""
    cells = sorted(all_cells(), key=lambda cell: (nasbench201_cost(cell).params, cell))
    if count is None:
        return cells
    if count > len(cells):
        raise GenasError(f"nasbench201.settings.architectures: {count} of {len(cells)}")
    edges = np.linspace(0, len(cells), count + 1).astype(int)
    rng = np.random.default_rng(DRAWN)
    return [cells[rng.integers(first, last)] for first, last in pairwise(edges)]


def make_scorer(context: Context, request: Request, scorer: str) -> Score:
    """A function that measures everything of one architecture of the row's supernet, by a scorer by name."""
    settings = context.params.nasbench201.required
    return reader(context, request, scorer, settings, training_of(context), load, sample(settings.architectures))


def run(context: Context) -> dict[str, float]:
    """Measure the sample; leaves a table with a row for each architecture.

    Raises:
        GenasError: more architectures are asked for than there are, or one could not be measured.
    """
    settings, weights = context.params.nasbench201.required, weights_of(context, "supernet201")
    return read_all(context, settings, NasBench201.space, sample(settings.architectures), make_scorer, weights)

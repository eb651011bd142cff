"""The stages ``nasbench201``, ``snapshots201`` and ``space201``: what is measured of architectures in one supernet of
NAS-Bench-201, as training left it or on the way, of a sample or of all (:mod:`genas.pipeline.scoring.readings`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from genas.models.errors import GenasError
from genas.models.spaces.nasbench201.cell import EDGES, NODES, Cell201, all_cells
from genas.models.spaces.nasbench201.cost import nasbench201_cost
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline.config import Params, Settings201
from genas.pipeline.context import Context
from genas.pipeline.nasbench201.network import load, training_of
from genas.pipeline.scoring.measuring import Request, Score
from genas.pipeline.scoring.readings import read_all, reader
from genas.pipeline.supernet.weights import weights_of

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


def pruned(cell: Cell201) -> Cell201:
    """The cell without the branches that change nothing: those that do not lead to the output, and skip connections and
    pooling of nothing. A convolution of nothing stays, as its BatchNorm has a bias. What is left computes the same in a
    supernet, to the last bit; of the 15,625 architectures it is 10,405."""
    reached, leading = {0}, {NODES[-1]}
    kept: dict[tuple[int, int], str] = {}
    for edge in cell.edges:  # in the order of their targets
        if edge.source in reached or "conv" in edge.operation:
            reached.add(edge.target)
            kept[edge.source, edge.target] = edge.operation
    for source, target in reversed(kept):
        leading |= {source} if target in leading else set()
    return Cell201(tuple(kept.get(edge, "none") if edge[1] in leading else "none" for edge in EDGES))


def distinct(cells: Sequence[Cell201]) -> list[Cell201]:
    """What is measured for all of them: each that is left of one, once."""
    return list(dict.fromkeys(map(pruned, cells)))


def told_of(cells: Sequence[Cell201], table: pd.DataFrame) -> pd.DataFrame:
    """A row for each architecture: the readings of what is left of it, and its own cost."""
    rows = table.set_index("architecture").loc[[str(pruned(cell)) for cell in cells]].reset_index()
    own = {"architecture": list(map(str, cells))}
    costs = pd.DataFrame([nasbench201_cost(cell) for cell in cells], dtype=np.float64)
    return rows.assign(**own, **{str(name): costs[name] for name in costs.columns.intersection(rows.columns)})


def settings_of(params: Params, stage: str) -> Settings201:
    """What a stage measures, and of how many architectures: all of it of a sample at the end of training; in brief of
    the sample on the way, and of the whole space."""
    settings = params.nasbench201.required
    if stage == "nasbench201":
        return settings
    return (
        settings.in_brief if stage == "snapshots201" else settings.in_brief.model_copy(update={"architectures": None})
    )


def make_scorer(context: Context, request: Request, scorer: str) -> Score:
    """A function that measures everything of one architecture of the row's supernet, by a scorer by name."""
    settings = settings_of(context.params, context.stage)
    cells = distinct(sample(settings.architectures))
    return reader(context, request, scorer, settings, training_of(context), load, cells)


def run(context: Context) -> dict[str, float]:
    """Measure the sample, each distinct network once; leaves a table with a row for each architecture.

    Raises:
        GenasError: more architectures are asked for than there are, or one could not be measured.
    """
    settings, weights = settings_of(context.params, context.stage), weights_of(context, "supernet201")
    cells, space = sample(settings.architectures), NasBench201.space
    told = partial(told_of, cells)
    return read_all(context, settings, space, distinct(cells), make_scorer, weights, told=told)

"""The stages ``nasbench201`` and ``snapshots201``: everything that is measured of architectures in one supernet of
NAS-Bench-201, as training left it or on the way.

Nothing is judged here. What is kept of each architecture is plain: losses under each noise, accuracies, angles, costs,
so that any score made of them, and any table, is arithmetic on this stage's output
(:mod:`pipeline.nasbench201.laboratory`).
"""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from models.errors import GenasError
from models.spaces.nasbench201.cell import Cell201, all_cells
from models.spaces.nasbench201.cost import nasbench201_cost
from models.spaces.nasbench201.network import NasBench201
from pipeline import measures
from pipeline.config import FlatnessParams
from pipeline.context import Context
from pipeline.data.reading.halves import load_search_data
from pipeline.machine.resume import Scratch
from pipeline.measures.flatness import draw_losses
from pipeline.nasbench201.network import load, training_of
from pipeline.probe.fast import make_probe, settled
from pipeline.probe.hessian import NotConvergedError
from pipeline.scoring.early import Evidence
from pipeline.scoring.measuring import Request, Score, Values, attempt, scoring
from pipeline.supernet.weights import weights_of

HESSIAN = "hessian"
"""The noise along the Hessian's eigenvector, of a few architectures alone."""
FAILED = "hessian_error"
"""The column that says of which of these none was found."""
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


def hessian_sample(cells: list[Cell201], count: int) -> list[Cell201]:
    """As many of them, evenly spread."""
    return [cells[i] for i in np.linspace(0, len(cells) - 1, min(count, len(cells))).astype(int)]


def columns(noise: str, losses: list[list[float]]) -> dict[str, float]:
    """Mean losses (draws, sigmas) under the names ``<noise>_<draw>_<sigma>``."""
    return {f"{noise}_{draw}_{i}": loss for draw, row in enumerate(losses) for i, loss in enumerate(row)}


def make_scorer(context: Context, request: Request) -> Score:
    """A function that measures everything of one architecture of the row's supernet."""
    settings = context.params.nasbench201.required
    seed, params = int(context.axes["seed"]), settings.measures
    data = load_search_data(context, training_of(context), params.recalibrate_images, params.images)
    initial, trained = load(context, data.num_classes)
    # The plain scorer writes statistics into its network, and these are to stay.
    untouched = params.model_copy(update={"recalibrate": "none"})
    as_trained = make_probe(deepcopy(trained), data, untouched, seed)
    probe = make_probe(trained, data, params, seed, initial)
    # Measures that ask for no training, of trained weights: whether training makes them better.
    after = make_probe(trained, data, params, seed, deepcopy(trained))
    along = params.flatness.model_copy(update={"direction": "hessian", "draws": 1})
    curved = set(hessian_sample(sample(settings.architectures), settings.hessian))

    def losses(cell: Cell201, name: str, noise: FlatnessParams) -> dict[str, float]:
        return columns(name, draw_losses(probe, cell, params.model_copy(update={"flatness": noise})))

    def along_the_hessian(cell: Cell201) -> dict[str, Any]:
        try:
            return losses(cell, HESSIAN, along)
        except NotConvergedError as error:  # of one architecture among thousands: it is left out of Table 7
            return columns(HESSIAN, [[math.nan] * len(along.sigma)]) | {FAILED: str(error)}

    def taken(cell: Cell201) -> dict[str, Any]:
        raw = measures.take(as_trained, cell, ["accuracy"])
        values = {f"{name}_as_trained": value for name, value in raw.items()}
        values |= measures.take(probe, cell, request.names)
        values |= {f"trained_{name}": value for name, value in measures.take(after, cell, measures.ZERO_COST).items()}
        for name, noise in settings.noises.items():
            values |= losses(cell, name, noise)
        return values | (along_the_hessian(cell) if cell in curved else {})

    def score(architecture: Cell201, bar: Evidence | None = None) -> Values:
        return {"architecture": str(architecture), **attempt(lambda: taken(architecture), request.names)}

    return score


def run(context: Context) -> dict[str, float]:
    """Measure the sample; leaves a table with a row for each architecture.

    Raises:
        GenasError: more architectures are asked for than there are, or one could not be measured.
    """
    settings, weights = context.params.nasbench201.required, weights_of(context, "supernet201")
    context.notes["scorer"] = settled(settings.measures, NasBench201.space, context.device).scorer
    cells = sample(settings.architectures)
    scratch = Scratch(context, weights)
    rows = scratch.records("scores.jsonl")
    with (
        scoring(context, settings.measured, make=make_scorer, weights=weights) as score_all,
        tqdm(total=len(cells), initial=len(rows), unit="cell", disable=None) as bar,
    ):
        for values in score_all(cells[len(rows) :]):
            scratch.append("scores.jsonl", values)
            rows.append(values)
            bar.update()
    table = pd.DataFrame(rows).drop(columns="score")
    failed = table[table["error"] != ""]
    if len(failed):
        raise GenasError(f"{failed.iloc[0]['architecture']}: {failed.iloc[0]['error']} ({len(failed)} in all)")
    table.drop(columns="error").to_parquet(context.out / "scores.parquet", index=False)
    scratch.close()
    left_out = int(table[FAILED].notna().sum()) if FAILED in table else 0
    return {
        "architectures": len(table),
        "left_out": left_out,
        **{name: float(table[name].mean()) for name in ("accuracy", "loss")},
    }

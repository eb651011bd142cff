"""Everything that is measured of architectures in one supernet, for a laboratory to judge.

Nothing is judged here. What is kept of each architecture is plain: losses under each noise, accuracies, angles, costs,
so that any score made of them, and any table, is arithmetic on a table of readings.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from models.errors import GenasError
from models.spaces.base.oneshot import Architecture, OneShot
from pipeline import measures
from pipeline.config import FlatnessParams, LaboratoryParams, MeasureParams
from pipeline.context import Context
from pipeline.data.reading.halves import SearchData
from pipeline.machine.resume import Scratch
from pipeline.measures.flatness import draw_losses
from pipeline.probe.fast import make_probe
from pipeline.probe.hessian import NotConvergedError
from pipeline.scoring.early import Evidence
from pipeline.scoring.measuring import Make, Request, Score, Values, attempt, scoring
from pipeline.supernet.weights import Weights

HESSIAN = "hessian"
"""The noise along the Hessian's eigenvector, of a few architectures alone."""
FAILED = "hessian_error"
"""The column that says of which of these none was found."""
A = TypeVar("A")


def evenly(architectures: Sequence[A], count: int) -> list[A]:
    """So many of them, or all, evenly spread."""
    places = np.linspace(0, len(architectures) - 1, min(count, len(architectures))).astype(int)
    return [architectures[i] for i in places]


def columns(noise: str, losses: list[list[float]]) -> dict[str, float]:
    """Mean losses (draws, sigmas) under the names ``<noise>_<draw>_<sigma>``."""
    return {f"{noise}_{draw}_{i}": loss for draw, row in enumerate(losses) for i, loss in enumerate(row)}


def reader(
    settings: LaboratoryParams,
    params: MeasureParams,
    data: SearchData,
    pair: tuple[OneShot[Any], OneShot[Any]],
    seed: int,
    curved: Collection[Architecture],
    request: Request,
) -> Score:
    """A function that measures everything of one architecture.

    Args:
        settings: what that is.
        params: those of the measures, with a scorer that runs here.
        data: the images.
        pair: the initial and the trained supernet.
        seed: of noise and images.
        curved: the architectures of which the loss along the Hessian's eigenvector is wanted.
        request: the measures that must be finite.
    """
    initial, trained = pair
    # The plain scorer writes statistics into its network, and these are to stay.
    untouched = params.model_copy(update={"recalibrate": "none"})
    as_trained = make_probe(deepcopy(trained), data, untouched, seed)
    probe = make_probe(trained, data, params, seed, initial)
    # Measures that ask for no training, of trained weights: whether training makes them better.
    after = make_probe(trained, data, params, seed, deepcopy(trained))
    along = params.flatness.model_copy(update={"direction": "hessian", "draws": 1})

    def losses(architecture: Architecture, name: str, noise: FlatnessParams) -> dict[str, float]:
        return columns(name, draw_losses(probe, architecture, params.model_copy(update={"flatness": noise})))

    def along_the_hessian(architecture: Architecture) -> Values:
        try:
            return losses(architecture, HESSIAN, along)
        except NotConvergedError as error:  # of one architecture among thousands: it is left out of Table 7
            return columns(HESSIAN, [[math.nan] * len(along.sigma)]) | {FAILED: str(error)}

    def read(architecture: Architecture) -> Values:
        raw = measures.take(as_trained, architecture, ["accuracy"])
        values: Values = {f"{name}_as_trained": value for name, value in raw.items()}
        values |= measures.take(probe, architecture, settings.measured)
        again = measures.take(after, architecture, measures.ZERO_COST)
        values |= {f"trained_{name}": value for name, value in again.items()}
        for name, noise in settings.noises.items():
            values |= losses(architecture, name, noise)
        return values | (along_the_hessian(architecture) if architecture in curved else {})

    def score(architecture: Architecture, bar: Evidence | None = None) -> Values:
        return {"architecture": str(architecture), **attempt(lambda: read(architecture), request.names)}

    return score


def read_all(
    context: Context,
    names: Sequence[str],
    architectures: Sequence[Architecture],
    make: Make,
    weights: Weights,
    *inputs: Path,
) -> dict[str, float]:
    """Measure architectures in the row's supernet; leaves ``scores.parquet`` with a row for each, in their order.

    Args:
        context: the row.
        names: the measures that are taken, and must be finite.
        architectures: of which.
        make: a module's function that makes what measures one.
        weights: the supernet's.
        inputs: what else the result depends on.

    Raises:
        GenasError: one could not be measured.
    """
    scratch = Scratch(context, [*weights, *inputs])
    rows = scratch.records("scores.jsonl")
    with (
        scoring(context, names, make=make, weights=weights) as score_all,
        tqdm(total=len(architectures), initial=len(rows), unit="cell", disable=None) as bar,
    ):
        for values in score_all(architectures[len(rows) :]):
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

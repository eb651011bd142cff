"""Everything that is measured of architectures in one supernet, for a laboratory to judge.

Nothing is judged here. What is kept of each architecture is plain: losses under each noise, accuracies, angles, costs,
so that any score made of them, and any table, is arithmetic on a table of readings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.pipeline import measures
from genas.pipeline.config import FlatnessParams, LaboratoryParams, TrainingParams
from genas.pipeline.context import Context
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.measures.flatness import draw_losses
from genas.pipeline.probe.fast import make_probe, settled
from genas.pipeline.probe.hessian import NotConvergedError
from genas.pipeline.probe.images import load_probe_data
from genas.pipeline.scoring.early import Evidence
from genas.pipeline.scoring.measuring import Request, Score, Values, attempt, scoring
from genas.pipeline.supernet.weights import Weights

HESSIAN = "hessian"
"""The noise along the Hessian's eigenvector, of a few architectures alone."""
FAILED = "hessian_error"
"""The column that says of which of these none was found."""
A = TypeVar("A")


class MakeReader(Protocol):
    """Makes what measures one architecture of a row, by a scorer by name."""

    def __call__(self, context: Context, request: Request, scorer: str) -> Score: ...


def evenly(architectures: Sequence[A], count: int) -> list[A]:
    """So many of them, or all, evenly spread."""
    places = np.linspace(0, len(architectures) - 1, min(count, len(architectures))).astype(int)
    return [architectures[i] for i in places]


def columns(noise: str, losses: list[list[float]]) -> dict[str, float]:
    """Mean losses (draws, sigmas) under the names ``<noise>_<draw>_<sigma>``."""
    return {f"{noise}_{draw}_{i}": loss for draw, row in enumerate(losses) for i, loss in enumerate(row)}


def reader(
    context: Context,
    request: Request,
    scorer: str,
    settings: LaboratoryParams,
    training: TrainingParams,
    load: Callable[[Context, int], tuple[OneShot[Any], OneShot[Any]]],
    architectures: Sequence[Architecture],
) -> Score:
    """A function that measures everything of one architecture of the row's supernet.

    Args:
        context: the row.
        request: the measures that must be finite.
        scorer: one that runs here.
        settings: what is measured.
        training: how the supernet was trained.
        load: gives the initial and the trained supernet of a row with so many classes.
        architectures: all that are measured; of some of them, evenly spread, the loss along the Hessian's eigenvector
            is taken too.
    """
    params, seed = settings.measures.model_copy(update={"scorer": scorer}), context.seed()
    data = load_probe_data(context, training, params)
    initial, trained = load(context, data.num_classes)
    curved = set(evenly(architectures, settings.hessian))
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
        again = measures.take(after, architecture, [name for name in measures.ZERO_COST if name in settings.measured])
        values |= {f"trained_{name}": value for name, value in again.items()}
        for name, noise in settings.noises.items():
            values |= losses(architecture, name, noise)
        return values | (along_the_hessian(architecture) if architecture in curved else {})

    def score(architecture: Architecture, bar: Evidence | None = None) -> Values:
        return {"architecture": str(architecture), **attempt(lambda: read(architecture), request.names)}

    return score


Told = Callable[[pd.DataFrame], pd.DataFrame]
"""Makes the table of all architectures of the table of those that were measured."""


def read_all(
    context: Context,
    settings: LaboratoryParams,
    space: str,
    architectures: Sequence[Architecture],
    make: MakeReader,
    weights: Weights,
    *inputs: Path,
    stem: str = "cifar",
    told: Told | None = None,
) -> dict[str, float]:
    """Measure architectures in the row's supernet; leaves ``scores.parquet`` with a row for each, in their order, or
    what ``told`` makes of it.

    Args:
        context: the row.
        settings: what is measured.
        space: the search space.
        architectures: of which.
        make: a module's function, called wherever one is measured.
        weights: the supernet's.
        inputs: what else the result depends on.
        stem: the supernet's.
        told: what is stored of those that were measured, if not they alone.

    Raises:
        GenasError: one could not be measured.
    """
    scorer = context.notes["scorer"] = settled(settings.measures, space, context.device, stem).scorer
    scratch = Scratch(context, [*weights, *inputs])
    rows = scratch.records("scores.jsonl")
    with (
        scoring(context, settings.measured, make=partial(make, scorer=scorer), weights=weights) as score_all,
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
    table = table.drop(columns="error") if told is None else told(table.drop(columns="error"))
    table.to_parquet(context.out / "scores.parquet", index=False)
    scratch.close()
    left_out = int(table[FAILED].notna().sum()) if FAILED in table else 0
    return {
        "architectures": len(table),
        "left_out": left_out,
        **{name: float(table[name].mean()) for name in ("accuracy", "loss")},
    }

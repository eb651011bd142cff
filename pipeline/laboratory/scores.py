"""Scores of architectures from what the ``nasbench201`` stage stored: arithmetic on a table, larger is better.

Flatness here is that of :mod:`genas.pipeline.measures.flatness`, of losses that any set of stored noises gives; so the
tables by sigma and by alpha need no forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from genas.models.errors import GenasError
from genas.pipeline import measures
from genas.pipeline.config import LaboratoryParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.files import table_in
from genas.pipeline.laboratory.ranking import Array, log_rank_sum, rank_sum
from genas.pipeline.measures.flatness import flatness
from genas.pipeline.stages import Key

CURVE = "curve"
"""The noise that has every sigma of Table 5."""


class Stored:
    """One run's table, and the settings that it was made with."""

    def __init__(self, table: pd.DataFrame, settings: LaboratoryParams) -> None:
        self.table, self.settings = table, settings

    def column(self, name: str) -> Array:
        """A stored column, (n,)."""
        return self.table[name].to_numpy(np.float64)

    @property
    def sigma(self) -> tuple[float, ...]:
        """The paper's standard deviations, those of ``measures.flatness``."""
        return self.settings.measures.flatness.sigma

    def losses(self, noise: str, sigma: Sequence[float], draw: int = 0) -> Array:
        """Mean losses under one noise at each of the standard deviations, (sigmas, n).

        Raises:
            GenasError: the noise was not taken at one of them.
        """
        taken = self.sigma if noise == "hessian" else self.settings.noises[noise].sigma
        for deviation in sigma:
            if deviation not in taken:
                raise GenasError(f"settings.noises.{noise}: sigma {deviation} was not taken")
        return np.stack([self.column(f"{noise}_{draw}_{taken.index(deviation)}") for deviation in sigma])

    def flatness(
        self, noise: str = CURVE, sigma: Sequence[float] | None = None, alpha: float = 1.0, draw: int = 0
    ) -> Array:
        """Eq. 4 of one draw, (n,)."""
        chosen = self.sigma if sigma is None else sigma
        return flatness(self.losses(noise, chosen, draw), chosen, alpha)

    def rise(self, noise: str, first: float, last: float) -> Array:
        """How much the loss rises between two standard deviations, (n,)."""
        low, high = self.losses(noise, (first, last))
        return high - low


Score = Callable[[Stored], Array]
"""A score of all architectures of a run, (n,)."""


def read_runs(context: Context, rows: Iterable[Key], settings: LaboratoryParams) -> list[Stored]:
    """What rows measured.

    Raises:
        GenasError: what a row has left cannot be read, or has other architectures than the first.
    """
    runs: list[Stored] = []
    for stage, row in rows:
        table = table_in(context.output_of(stage, row) / "scores.parquet")
        runs.append(Stored(table, settings))
        if list(runs[0].table["architecture"]) != list(table["architecture"]):
            raise GenasError(f"{stage} {row}: other architectures than the runs before it")
    return runs


def _added(stored: Stored, name: str) -> Array:
    """A measure on the scale of Eq. 5."""
    if name == "flatness":
        return stored.flatness() / stored.sigma[0]
    return stored.column(name) / (math.pi if name == "angle" else 1.0)


def _with_flatness(stored: Stored, name: str) -> Array:
    """A measure and flatness, the latter weighted by gamma (Eq. 5)."""
    return _added(stored, name) + stored.settings.gamma * _added(stored, "flatness")


SCORES: dict[str, Score] = {
    "flatness": lambda s: s.flatness(),
    "flatness, flat term": lambda s: s.flatness(alpha=0.0),
    "flatness, depth term": lambda s: -s.losses(CURVE, s.sigma[:1])[0],
    "loss": lambda s: -s.column("loss"),
    "loss, as trained": lambda s: -s.column("loss_as_trained"),
    "accuracy": lambda s: s.column("accuracy"),
    "accuracy, as trained": lambda s: s.column("accuracy_as_trained"),
    "angle": lambda s: s.column("angle"),
    "angle + flatness": lambda s: _with_flatness(s, "angle"),
    "accuracy + flatness": lambda s: _with_flatness(s, "accuracy"),
    "angle + accuracy": lambda s: _added(s, "angle") + _added(s, "accuracy"),
    "params": lambda s: s.column("params"),
    "macs": lambda s: s.column("macs"),
}
"""The scores that are always compared: the paper's measures, their parts, and controls. "As trained" has the supernet's
own BatchNorm statistics instead of recalibrated ones."""
JOINED: dict[str, Score] = {
    "loss & flatness": lambda s: rank_sum(-s.column("loss"), s.flatness()),
    "loss & flat term": lambda s: rank_sum(-s.column("loss"), s.flatness(alpha=0.0)),
    "params & loss": lambda s: rank_sum(s.column("params"), -s.column("loss")),
    "params & flatness": lambda s: rank_sum(s.column("params"), s.flatness()),
}
"""Rank sums that show whether flatness adds to a control."""


@cache
def _measure(name: str, column: str) -> Score:
    """A measure as stored in a column, so that larger is better."""
    return lambda run: measures.scaled({name: run.column(column)}, name, run.settings.measures)


def further(run: Stored) -> dict[str, Score]:
    """The measures that a run has stored beside those of :data:`SCORES`: whatever it was asked for."""
    names = [name for name in run.settings.measured if name in run.table and name not in SCORES]
    return {name: _measure(name, name) for name in names}


AGGREGATES = {
    "AZ-NAS": ("expressivity", "progressivity", "trainability", "macs"),
    "VKDNW, aggregated": ("vkdnw", "jacov", "expressivity", "trainability", "macs"),
    "ln rank jacov + ln rank params": ("jacov", "params"),
}
"""Sums of logarithmic ranks by measures: those of Lee and Ham (2024) and of Tybl and Neumann (2025), and what two that
cost next to nothing make of each other."""


@cache
def _aggregate(names: tuple[str, ...]) -> Score:
    """The sum of the logarithmic ranks by stored measures."""
    return lambda run: log_rank_sum(*(_measure(name, name)(run) for name in names))


def aggregates(run: Stored) -> dict[str, Score]:
    """The :data:`AGGREGATES` of which a run has stored every part."""
    return {name: _aggregate(parts) for name, parts in AGGREGATES.items() if set(parts) <= set(run.table)}


def scores_of(run: Stored) -> dict[str, Score]:
    """Every measure of a run that is compared."""
    return {**SCORES, **further(run), **aggregates(run)}


PAPERS = ("flatness", "accuracy", "angle", "angle + flatness", "accuracy + flatness")
"""Those of the paper."""


def mean_flatness(stored: Stored, noise: str) -> Array:
    """Flatness averaged over all draws of a noise."""
    about = stored.settings.noises[noise]
    return np.mean([stored.flatness(noise, about.sigma, draw=draw) for draw in range(about.draws)], axis=0)


def residual(values: Array, given: Array) -> Array:
    """What of a value is not in the rank of another one: its rank less the average rank of its 20 neighbours there."""
    order = np.argsort(given, kind="stable")
    ranks = rank_sum(values)[order]
    around = pd.Series(ranks).rolling(21, center=True, min_periods=1).mean().to_numpy()
    result = np.empty_like(ranks)
    result[order] = ranks - around
    return result


def _loss_at(noise: str, sigma: float) -> Score:
    return lambda run: -run.losses(noise, (sigma,))[0]


def _rise_to(noise: str, first: float, last: float) -> Score:
    return lambda run: -run.rise(noise, first, last)


def _mean_flatness(noise: str) -> Score:
    return lambda run: mean_flatness(run, noise)


def terms(run: Stored) -> dict[str, Score]:
    """What new scores are built from, by name: every measure, and further readings of what was stored."""
    made = scores_of(run)
    sums = ("angle + flatness", "accuracy + flatness", "angle + accuracy", *aggregates(run))
    for name in ("flatness, depth term", *sums):
        del made[name]
    del made["macs"]  # in this space it orders architectures as params does
    for name in further(run):
        if f"trained_{name}" in run.table:
            made[f"trained {name}"] = _measure(name, f"trained_{name}")
    for noise, about in run.settings.noises.items():
        low, high = about.sigma[0], about.sigma[-1]
        made[f"loss at {high:g} ({noise})"] = _loss_at(noise, high)
        made[f"rise to {high:g} ({noise})"] = _rise_to(noise, low, high)
        if noise != CURVE:
            made[f"flatness ({noise})"] = _mean_flatness(noise)
    made["flatness at matched loss"] = lambda run: residual(run.flatness(), run.column("loss"))
    return made

"""Of what the variance of a score consists: of the architecture, or of what chance decides.

Two designs, each with every combination of its factors. Replicas of a supernet: the same architectures, in supernets of
several splits and seeds, under several draws of the noise, on several parts of the images; what a search sees of chance
is only what acts on some architectures otherwise than on others. Searches with seeds apart: the score of the winner, by
the seeds of supernet, noise and evolution. The last of these decides which architectures are looked at and acts on the
score of none, so it has a share in that of a winner alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genas.pipeline.config import Params
from genas.pipeline.results import records

Array = NDArray[np.float64]
FACTORS = {"architecture": "architecture", "split": "split", "seed": "supernet", "draw": "noise", "part": "images"}
"""Of the replicas: columns of their scores, and what they are called."""
SEEDS = {"supernet": "supernet", "noise": "noise", "seed": "evolution"}
"""Of the searches: axes of their rows, and whose seeds they are."""
REST = "several together"


class Anatomy(NamedTuple):
    """A design: how many levels each of its factors has, and, for each score, the share of its variance by effect."""

    levels: dict[str, int]
    shares: dict[str, dict[str, float]]


def mean_square(values: Array, effect: Sequence[int]) -> float:
    """The mean square of an effect, main or interaction: its sum of squares by its degrees of freedom.

    Args:
        values: one for each combination of the factors, which are its axes.
        effect: the axes.
    """
    others = tuple(axis for axis in range(values.ndim) if axis not in effect)
    left = values.mean(axis=others, keepdims=True)
    for axis in effect:
        left = left - left.mean(axis=axis, keepdims=True)
    repeats = np.prod([values.shape[axis] for axis in others])
    return float(repeats * (left**2).sum() / np.prod([values.shape[axis] - 1 for axis in effect]))


def components(values: Array) -> dict[tuple[int, ...], float]:
    """The variance that each factor and each interaction of factors brings: the analysis of variance of a crossed
    design with random effects (Searle, Casella and McCulloch, Variance Components, 1992, Section 4.3).

    The mean square of an effect is expected to be the sum, over all effects that hold its factors, of their variance
    times the observations that share it; solved for the variances, from the largest interaction down.

    Args:
        values: one for each combination of the factors, which are its axes; two of each at least.

    Returns:
        By axes, unbiased and so perhaps below zero. The interaction of all is what no factor explains.
    """
    found: dict[tuple[int, ...], float] = {}
    effects = [effect for size in range(1, values.ndim + 1) for effect in combinations(range(values.ndim), size)]
    for effect in reversed(effects):
        shared = {other: np.prod([n for axis, n in enumerate(values.shape) if axis not in other]) for other in effects}
        above = sum(float(shared[other]) * found[other] for other in found if set(effect) < set(other))
        found[effect] = (mean_square(values, effect) - above) / float(shared[effect])
    return dict(reversed(found.items()))


def shares(values: Array, factors: Sequence[str], among: str = "") -> dict[str, float]:
    """The share of each factor in a variance, and of what :data:`REST` do; those below zero are taken as none.

    Args:
        values: as for :func:`components`.
        factors: what the axes are called.
        among: the factor whose levels are told apart: what moves all of them alike is left out, and the share of
            another factor is that of its interaction with this one.

    Returns:
        Shares that sum to 1, or zeros where nothing varies. Each split has images of its own, so that what split and
        images do together is counted as the images'.
    """
    found = dict.fromkeys((*factors, *([REST] * (len(factors) > 1 + bool(among)))), 0.0)
    for effect, variance in components(values).items():
        names = {factors[axis] for axis in effect}
        if not among or among in names:
            names = names - {among} or {among}
            names -= {"split"} if names == {"split", "images"} else set()
            found[names.pop() if len(names) == 1 else REST] += variance
    whole = sum(max(variance, 0.0) for variance in found.values()) or 1.0
    return {name: max(variance, 0.0) / whole for name, variance in found.items()}


def crossed(table: pd.DataFrame, factors: Sequence[str], value: str) -> Array | None:
    """A value for each combination of factors, which are the axes; None where one is missing."""
    levels = pd.MultiIndex.from_product([table[name].unique().tolist() for name in factors], names=list(factors))
    values = table.set_index(list(factors))[value].reindex(levels)
    return None if values.isna().any() else values.to_numpy(dtype=np.float64).reshape([*map(len, levels.levels)])


def anatomy(table: pd.DataFrame, factors: Mapping[str, str], scores: Sequence[str], among: str = "") -> Anatomy:
    """That of a table with a line for each combination; factors of one level are left out.

    Args:
        table: its columns are factors and scores.
        factors: what its columns are called.
        scores: names of columns.
        among: as for :func:`shares`, by its name.
    """
    levels = {column: table[column].nunique() for column in factors if table[column].nunique() > 1}
    names, found = [factors[column] for column in levels], {}
    for score in scores if levels else ():
        values = crossed(table, list(levels), score)
        if values is not None:
            found[score] = shares(values, names, among)
    return Anatomy({factors[column]: count for column, count in levels.items()}, found)


def of_replicas(params: Params, root: Path) -> dict[str, Anatomy]:
    """By data set, of its replicas' scores; those alone of which every replica has run."""
    found = {}
    for dataset in params.matrix.replica.dataset:
        rows = {row: axes for row, axes in params.matrix.replica.rows().items() if axes["dataset"] == dataset}
        tables = {row: records.table(root, ("replica", row), "scores.parquet") for row in rows}
        parts = [
            table.assign(split=rows[row]["split"], seed=rows[row]["seed"])
            for row, table in tables.items()
            if table is not None
        ]
        if rows and len(parts) == len(rows):
            with records.sound(root, ("replica", next(iter(rows)))):
                found[dataset] = anatomy(pd.concat(parts), FACTORS, params.replica.measures, "architecture")
    return found


def of_winners(params: Params, root: Path) -> dict[str, Anatomy]:
    """By data set and metric, of the winner's score, as its own search saw it, in searches with seeds apart; those
    alone of which every search has run."""
    found: dict[str, list[dict[str, str | float]]] = {}
    for row, axes in params.matrix.reseed.rows().items():
        score = records.metrics(root, ("reseed", row)).get("score", np.nan)
        found.setdefault(f"{axes['dataset']}, {axes['metric']}", []).append({**axes, "score": score})
    whole = {name: anatomy(pd.DataFrame(lines), SEEDS, ["score"]) for name, lines in found.items()}
    return {name: one for name, one in whole.items() if one.shares}

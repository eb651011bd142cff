"""How good the best of many scores looks by chance: tau with truths whose order is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from genas.pipeline.laboratory.ranking import DIGITS, Array, signs
from genas.pipeline.laboratory.scores import Score, Stored

MOST = 1000
"""Architectures whose pairs are looked at; of more, so many are taken, evenly spread."""
PAIRS = 4_000_000
"""Pairs, of all scores together, that are in memory at a time."""


def spaced(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most :data:`MOST` of the places, evenly spread."""
    return places[np.linspace(0, len(places) - 1, min(len(places), MOST)).astype(int)]


def drawn(truth: Array, permutations: int) -> Array:
    """Ranks by the truth, ties on their average, and behind them permutations of them, (1 + permutations, n)."""
    rng, ranks = np.random.default_rng(201), rankdata(truth)
    return np.stack([ranks, *(rng.permutation(ranks) for _ in range(permutations))])


def mean_taus(ranks: Sequence[Array], sums: Sequence[Sequence[int]], truths: Array) -> Array:
    """Kendall's tau-b of sums with truths, the mean over runs.

    Args:
        ranks: of each run, the ranks by each reading, or their logarithms, (readings, n).
        sums: the readings in each sum.
        truths: (t, n).

    Returns:
        (sums, t).
    """
    wanted, by_truth = signs(truths)
    result, size = np.zeros((len(sums), len(truths))), max(1, PAIRS // max(1, wanted.shape[1]))
    for start in range(0, len(sums), size):
        block = sums[start : start + size]
        for run in ranks:
            values = np.round([run[list(places)].sum(0) for places in block], DIGITS)
            order, by_sum = signs(rankdata(values, axis=1))
            result[start : start + size] += (order @ wanted.T) / np.outer(by_sum, by_truth) / len(ranks)
    return result


def ranked(runs: Sequence[Stored], scores: Mapping[str, Score], part: NDArray[np.intp]) -> list[Array]:
    """Ranks among some of the architectures by each score, ties on their average, (scores, m) of each run."""
    return [np.stack([rankdata(score(run)[part]) for score in scores.values()]) for run in runs]


def tried(what: str, truth: str, names: Sequence[str], taus: Array) -> dict[str, object]:
    """How many scores were tried, the best of them, and what the best of as many reaches by chance: the mean maximum
    over permuted truths, and what one in twenty exceeds.

    Args:
        what: was tried.
        truth: its name.
        names: of the scores.
        taus: with the truth and its permutations, (scores, 1 + permutations).
    """
    best, highest = int(taus[:, 0].argmax()), taus[:, 1:].max(0)
    about = {"what": what, "truth": truth, "tried": len(names), "best": names[best], "tau": float(taus[best, 0])}
    return {**about, "by chance": float(highest.mean()), "95 % by chance": float(np.quantile(highest, 0.95))}


def measures_tried(
    runs: Sequence[Stored],
    scores: Mapping[str, Mapping[str, Score]],
    truths: Mapping[str, Array],
    permutations: int,
) -> pd.DataFrame:
    """:func:`tried` of the measures, against each truth."""
    rows = []
    for name, truth in truths.items():
        part, alone = spaced(np.arange(len(truth))), [(i,) for i in range(len(scores[name]))]
        taus = mean_taus(ranked(runs, scores[name], part), alone, drawn(truth[part], permutations))
        rows.append(tried("measures", name, list(scores[name]), taus))
    return pd.DataFrame(rows)

"""The search for a better score: sums of the ranks, or of their logarithms, by up to three readings, chosen on one
half of the architectures.

The halves are every second class of architectures that compute the same, along the number of parameters, and, where
there are several supernets, every second of these. What is chosen on the search half is judged on the other one, which
nothing here looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genas.models.errors import GenasError
from genas.pipeline.laboratory.questions.chance import drawn, mean_taus, ranked, spaced, tried
from genas.pipeline.laboratory.ranking import Array, log_rank_sum, rank_sum
from genas.pipeline.laboratory.scores import Score, Stored, terms

LARGEST = 3
"""Readings in a sum."""
SUM, PRODUCT = " & ", " * "
"""Between the names of readings whose ranks are added or, as the sum of their logarithms orders as well, multiplied."""


def supernets(runs: Sequence[Stored]) -> tuple[list[Stored], list[Stored]]:
    """The supernets of the search half and of the judging half; a single one is both."""
    return (list(runs[::2]), list(runs[1::2])) if len(runs) > 1 else (list(runs), list(runs))


def combined(name: str, terms: Mapping[str, Score]) -> Score:
    """The score that :func:`search` calls ``name``, with ranks over all architectures of a run.

    Raises:
        GenasError: ``name`` has a part that is no reading.
    """
    join, combine = (PRODUCT, log_rank_sum) if PRODUCT in name else (SUM, rank_sum)
    for part in name.split(join):
        if part not in terms:
            raise GenasError(f"score {name!r}: no reading is called {part!r}, there are {', '.join(terms)}")
    return lambda run: combine(*(terms[part](run) for part in name.split(join)))


def search(
    runs: Sequence[Stored],
    truth: Array,
    terms: Mapping[str, Score],
    half: NDArray[np.intp],
    permutations: int,
    name: str,
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Every sum and product of the ranks by up to three readings, by its mean tau over the runs on the search half,
    best first; and how many there are and what the best of as many reaches by chance.

    Ranks are taken within the half, so that the other one has no part in them.

    Args:
        runs: the supernets of the search half.
        truth: accuracies of all architectures, (n,).
        terms: readings by name.
        half: places of the search half; of more than a thousand, a thousand evenly spread.
        permutations: of the truth.
        name: of the truth.
    """
    half, names = spaced(half), list(terms)
    chosen = [places for size in range(1, LARGEST + 1) for places in combinations(range(len(names)), size)]
    several = [places for places in chosen if len(places) > 1]
    ranks = [np.concatenate([run, np.log(run)]) for run in ranked(runs, terms, half)]
    sums = chosen + [tuple(len(names) + place for place in places) for places in several]
    taus = mean_taus(ranks, sums, drawn(truth[half], permutations))
    labels = [SUM.join(names[i] for i in places) for places in chosen]
    labels += [PRODUCT.join(names[i] for i in places) for places in several]
    found = pd.DataFrame({"score": labels, "terms": [len(places) for places in sums], "tau": taus[:, 0]})
    about = tried("sums and products of ranks, search half", name, labels, taus)
    return found.sort_values(["tau", "score"], ascending=[False, True], ignore_index=True), about


class Chosen(NamedTuple):
    """What the search for a better score found: the best thirty, how many were tried, the best one and its name, and
    the supernets of the judging half."""

    found: pd.DataFrame
    tried: dict[str, object]
    name: str
    score: Score
    runs: list[Stored]


def choose(runs: Sequence[Stored], truth: Array, half: NDArray[np.intp], permutations: int, name: str) -> Chosen:
    """The best score of :func:`search`, by every reading that the runs have stored.

    Args:
        runs: all supernets.
        truth, half, permutations, name: as there.
    """
    (searching, judging), readings = supernets(runs), terms(runs[0])
    found, about = search(searching, truth, readings, half, permutations, name)
    best = str(found["score"][0])
    return Chosen(found.head(30), about, best, combined(best, readings), judging)

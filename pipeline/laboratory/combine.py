"""The search for a better score: rank sums of up to three readings, chosen on one half of the architectures.

The halves are every second class of architectures that compute the same, along the number of parameters, and, where
there are several supernets, every second of these. What is chosen on the search half is judged on the other one, which
nothing here looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.laboratory.questions.chance import drawn, mean_taus, ranked, spaced, tried
from pipeline.laboratory.ranking import Array, rank_sum
from pipeline.laboratory.scores import Score, Stored

LARGEST = 3
"""Readings in a sum."""
JOIN = " & "


def supernets(runs: Sequence[Stored]) -> tuple[list[Stored], list[Stored]]:
    """The supernets of the search half and of the judging half; a single one is both."""
    return (list(runs[::2]), list(runs[1::2])) if len(runs) > 1 else (list(runs), list(runs))


def summed(names: Sequence[str], terms: Mapping[str, Score]) -> Score:
    """The rank sum of some readings, over all architectures of a run."""
    return lambda run: rank_sum(*(terms[name](run) for name in names))


def search(
    runs: Sequence[Stored],
    truth: Array,
    terms: Mapping[str, Score],
    half: NDArray[np.intp],
    permutations: int,
    name: str,
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Every sum of up to three readings, by its mean tau over the runs on the search half, best first; and how many
    there are and what the best of as many reaches by chance.

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
    sums = [places for size in range(1, LARGEST + 1) for places in combinations(range(len(names)), size)]
    taus = mean_taus(ranked(runs, terms, half), sums, drawn(truth[half], permutations))
    labels = [JOIN.join(names[i] for i in places) for places in sums]
    found = pd.DataFrame({"score": labels, "terms": [len(places) for places in sums], "tau": taus[:, 0]})
    about = tried("rank sums, search half", name, labels, taus)
    return found.sort_values(["tau", "score"], ascending=[False, True], ignore_index=True), about

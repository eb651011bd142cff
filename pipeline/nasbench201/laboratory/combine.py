"""The search for a better score: rank sums of up to three readings, chosen on one half of the architectures.

The halves are every second architecture along the number of parameters. What is chosen on the search half is judged on
the other one, which nothing here looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.nasbench201.laboratory.ranking import Array, rank_sum, tau
from pipeline.nasbench201.laboratory.scores import Score, Stored

SEARCH, JUDGING = slice(0, None, 2), slice(1, None, 2)
"""The halves."""
LARGEST = 3
"""Readings in a sum."""
JOIN = " & "


def summed(names: Sequence[str], terms: Mapping[str, Score]) -> Score:
    """The rank sum of some readings, over all architectures of a run."""
    return lambda run: rank_sum(*(terms[name](run) for name in names))


def search(runs: Sequence[Stored], truth: Array, terms: Mapping[str, Score]) -> pd.DataFrame:
    """Every sum of up to three readings, by its mean tau over the runs on the search half, best first.

    Ranks are taken within the half, so that the other one has no part in them.
    """
    wanted = truth[SEARCH]
    ranked = [{name: rank_sum(score(run)[SEARCH]) for name, score in terms.items()} for run in runs]
    sums = [names for size in range(1, LARGEST + 1) for names in combinations(terms, size)]
    rows = []
    for names in tqdm(sums, "sums", disable=None):
        values = [tau(np.sum([ranks[name] for name in names], axis=0), wanted) for ranks in ranked]
        rows.append({"score": JOIN.join(names), "terms": len(names), "tau": float(np.mean(values))})
    return pd.DataFrame(rows).sort_values(["tau", "score"], ascending=[False, True], ignore_index=True)

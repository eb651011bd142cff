"""Does a measure add anything to what costs less? Three ways to ask that do not rest on equal weights of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.ranking import Array, rank_sum
from genas.pipeline.laboratory.scores import SCORES, Score, Stored

GIVEN = ("loss", "params", "macs")
"""What is held fixed."""
BASE = ("loss", "params")
"""What weights are fitted to first; multiply-adds order this space as parameters do."""
FOLDS = 10


def conditional(judges: Mapping[str, Judge], scores: Mapping[str, Score], macs: NDArray[np.intp]) -> pd.DataFrame:
    """Tau of every measure, its partial tau given validation loss, parameters and multiply-adds, and its tau over pairs
    of equal multiply-adds alone.

    Args:
        judges: by truth.
        scores: by name.
        macs: multiply-adds of the architectures, (n,); the space has 28 values of them.
    """
    given, rows = [SCORES[name] for name in GIVEN], []
    for truth, judge in judges.items():
        for name, score in scores.items():
            found = {"tau": judge.tau(score), "tau at equal MACs": judge.within(score, macs)}
            if name not in GIVEN:
                found["partial tau"] = judge.partial(score, given)
            for statistic, estimate in found.items():
                rows.append({"truth": truth, "measure": name, "statistic": statistic, **estimate.row()})
    return pd.DataFrame(rows)


def out_of_fold(columns: Sequence[Array], truth: Array, folds: NDArray[np.intp]) -> Array:
    """Ranks of the truth foretold from ranks by some columns, (n,): a linear regression, of each architecture by
    weights that were fitted without its fold.

    Args:
        columns: (n,) each.
        truth: (n,).
        folds: a number for each architecture, (n,).
    """
    known = np.column_stack([np.ones(len(truth)), *(rank_sum(column) for column in columns)])
    wanted, told = rank_sum(truth), np.empty(len(truth))
    for fold in np.unique(folds):
        inside = folds == fold
        told[inside] = known[inside] @ np.linalg.lstsq(known[~inside], wanted[~inside], rcond=None)[0]
    return told


def regressed(names: Sequence[str], scores: Mapping[str, Score], truth: Array, folds: NDArray[np.intp]) -> Score:
    """The score that :func:`out_of_fold` makes of the named ones."""

    def score(run: Stored) -> Array:
        return out_of_fold([scores[name](run) for name in names], truth, folds)

    return score


def fitted(judges: Mapping[str, Judge], scores: Mapping[str, Score], graphs: NDArray[np.intp]) -> pd.DataFrame:
    """What a measure adds to loss and parameters with weights that are fitted, to each truth and in each supernet, on
    other architectures than those that they rank: tau without it, with it, and the difference.

    Args:
        judges: by truth, of all architectures.
        scores: by name.
        graphs: the class of each architecture, (n,); a class is in one fold.
    """
    rows, folds = [], graphs % FOLDS
    for truth, judge in judges.items():
        base = judge.tau(regressed(BASE, scores, judge.whole, folds))
        rows.append({"truth": truth, "added": "", "statistic": "tau", **base.row()})
        for name in scores:
            if name not in GIVEN:
                estimate = judge.tau(regressed([*BASE, name], scores, judge.whole, folds))
                about = {"truth": truth, "added": name}
                rows.append({**about, "statistic": "tau", **estimate.row()})
                rows.append({**about, "statistic": "gain", **estimate.less(base).row()})
    return pd.DataFrame(rows)

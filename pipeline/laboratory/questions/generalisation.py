"""Does flatness foretell how networks generalise beyond their clean accuracy?

The truths are other than accuracy: accuracy under attack, what is lost from validation to test, and how ranks change
from one data set to the next. What a measure foretells of them could come from clean accuracy, from size or from the
loss; so it is asked at equal values of these, by partial tau.
"""

from __future__ import annotations

import pandas as pd

from genas.pipeline.laboratory.benchmark import accuracy_of
from genas.pipeline.laboratory.companions import ATTACKS
from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.ranking import Array, rank_sum
from genas.pipeline.laboratory.scores import SCORES, Score, Stored

MEASURES = ("flatness", "flatness, flat term", "flatness, depth term", "angle", "accuracy")
"""What is asked, each at equal values of :data:`GIVEN` and of clean accuracy; the loss stands for its own."""
GIVEN = ("params", "loss")
ATTACKED = (
    "fgsm_1",
    "fgsm_3",
    "fgsm_8",
    "pgd_0.5",
    "pgd_1",
    "pgd_2",
    "apgd_0.5",
    "apgd_1",
    "square_0.5",
    "square_1",
    "square_2",
)
"""Columns of the table of accuracies under attack that are truths, where it has them; beyond these strengths next to
nothing is left to order."""
HOME, OTHERS = "cifar10", ("cifar100", "imagenet16_120")
KINDS = ("under attack", "validation less test, 12 epochs", "rank less that on CIFAR-10")


def truths(
    benchmark: pd.DataFrame, robustness: pd.DataFrame | None, cells: pd.Series[str]
) -> list[tuple[str, str, Array, Array]]:
    """Kind, name, truth (n,), and the clean accuracy in percent that it is matched by (n,).

    The gap from validation to test is that of networks trained for 12 epochs. On CIFAR-10 the validation accuracy is
    that of a network trained on half of the images and the test accuracy of one trained on all, so that this gap is
    also one of training sets.
    """
    clean = {name: accuracy_of(benchmark, cells, name) for name in (HOME, *OTHERS)}
    found = []
    if robustness is not None:
        for name in ATTACKED:
            if name in robustness:
                attack, strength = name.split("_")
                label = f"{ATTACKS[attack]}, {strength}/255"
                found.append((KINDS[0], label, robustness[name].loc[list(cells)].to_numpy("float64"), clean[HOME]))
    for name in (HOME, *OTHERS):
        gap = benchmark[f"{name}_valid_12"] - benchmark[f"{name}_test_12"]
        found.append((KINDS[1], name, gap.loc[list(cells)].to_numpy("float64"), clean[name]))
    at_home = rank_sum(clean[HOME])
    return [*found, *((KINDS[2], name, rank_sum(clean[name]) - at_home, clean[HOME]) for name in OTHERS)]


def generalisation(judge: Judge, asked: list[tuple[str, str, Array, Array]]) -> pd.DataFrame:
    """Tau of measures with each truth, and partial tau given clean accuracy, parameters and validation loss.

    Args:
        judge: of the runs, against any truth.
        asked: what :func:`truths` returns.
    """
    rows, fixed = [], [SCORES[name] for name in GIVEN]
    matched: dict[bytes, Score] = {}
    for kind, name, truth, accuracy in asked:
        clean = matched.setdefault(accuracy.tobytes(), _constant(accuracy))
        against = judge.against(truth)
        for measure in MEASURES:
            score = SCORES[measure]
            about = {"kind": kind, "truth": name, "measure": measure}
            rows.append({**about, "statistic": "tau", **against.tau(score).row()})
            rows.append({**about, "statistic": "partial tau", **against.partial(score, [clean, *fixed]).row()})
    return pd.DataFrame(rows)


def _constant(values: Array) -> Score:
    """Values of the architectures, whatever the run."""

    def score(run: Stored) -> Array:
        return values

    return score

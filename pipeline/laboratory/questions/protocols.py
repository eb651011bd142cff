"""The same scores on different sets of architectures: published taus are not comparable across protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genas.pipeline.laboratory.ranking import Array, tau
from genas.pipeline.laboratory.scores import Score, Stored

LEVELS = 20
"""Intervals of equal width that accuracies are divided into."""
SUPERNETS, SPACE = "measured in supernets", "whole space"


def stratified(truth: Array, count: int) -> NDArray[np.intp]:
    """Places of ``count`` architectures whose truths are spread evenly: as many from each of 20 equal intervals between
    the lowest and the highest, evenly along the truth within each. An interval with fewer gives all it has, so that
    there may be fewer in all."""
    edges = np.linspace(truth.min(), truth.max(), LEVELS + 1)
    level = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, LEVELS - 1)
    chosen = []
    for number in range(LEVELS):
        inside = np.flatnonzero(level == number)
        inside = inside[np.argsort(truth[inside], kind="stable")]
        wanted = min(len(inside), count // LEVELS)
        chosen.append(inside[np.linspace(0, len(inside) - 1, wanted).astype(int)] if wanted else inside[:0])
    return np.sort(np.concatenate(chosen))


def sets(truth: Array, graphs: pd.DataFrame, count: int) -> dict[str, NDArray[np.intp]]:
    """Places of the architectures of each protocol: all, those without unreachable branches, the first of each class of
    equal graphs, and an accuracy-stratified set."""
    return {
        "all": np.arange(len(truth)),
        "without unreachable branches": np.flatnonzero(graphs["reachable"]),
        "distinct": np.flatnonzero(~graphs["graph"].duplicated()),
        "stratified by accuracy": stratified(truth, count),
    }


def protocols(
    groups: Mapping[str, tuple[Sequence[Stored], pd.DataFrame, Mapping[str, Mapping[str, Score]]]],
    truths: Mapping[str, Mapping[str, Array]],
    count: int,
) -> pd.DataFrame:
    """Tau of every score on every set, mean and standard deviation over supernets; left out where a score is not known
    of all of a set.

    Args:
        groups: runs, their graphs, and scores by truth and name, for each group of architectures.
        truths: accuracies of the group's architectures, by group and truth.
        count: architectures of the stratified set, at most.
    """
    rows = []
    for group, (runs, graphs, scores) in groups.items():
        for truth, accuracy in truths[group].items():
            parts = sets(accuracy, graphs, count)
            for name, score in scores[truth].items():
                values = [score(run) for run in runs]
                for protocol, part in parts.items():
                    if not np.isfinite([one[part] for one in values]).all():
                        continue
                    taus = [tau(one[part], accuracy[part]) for one in values]
                    about = {"truth": truth, "architectures of": group, "score": name, "protocol": protocol}
                    spread = float(np.std(taus, ddof=1)) if len(taus) > 1 else 0.0
                    rows.append({**about, "architectures": len(part), "tau": float(np.mean(taus)), "spread": spread})
    return pd.DataFrame(rows)

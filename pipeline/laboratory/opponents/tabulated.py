"""Scores from tables: known of every architecture without a supernet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from genas.models.spaces.nasbench201.cell import all_cells
from genas.pipeline.config import Settings201
from genas.pipeline.laboratory.companions import HOME, THEIRS
from genas.pipeline.laboratory.ranking import Array, log_rank_sum, tau
from genas.pipeline.laboratory.scores import Score, Stored, further

AGGREGATED = "ln rank jacov + ln rank params (table)"
EVERYWHERE = ("live convolutions", "12-epoch validation accuracy", "12-epoch test accuracy")
"""Opponents that are known of every architecture and are none of our measures."""
ALIKE = 0.9
"""Tau between two people's values of a measure below which they are said to differ."""


def looked_up(values: pd.Series[Any]) -> Score:
    """A score that is a column by architecture strings; nan where an architecture is not in it."""
    return lambda run: values.reindex(run.table["architecture"]).to_numpy(np.float64)


def whole_space(settings: Settings201) -> Stored:
    """All 15,625 architectures, of which nothing was measured."""
    return Stored(pd.DataFrame({"architecture": [str(cell) for cell in all_cells()]}), settings)


def aggregated(*values: pd.Series[Any]) -> Score:
    """The sum of the logarithmic ranks by columns, among those architectures of a run that all of them have; nan of
    the others."""

    def score(run: Stored) -> Array:
        columns = [looked_up(one)(run) for one in values]
        known = np.all(np.isfinite(columns), axis=0)
        result = np.full(len(columns[0]), np.nan)
        result[known] = log_rank_sum(*(column[known] for column in columns))
        return result

    return score


def opponents(
    benchmark: pd.DataFrame, graphs: pd.DataFrame, zero_cost: pd.DataFrame | None, truth: str
) -> dict[str, Score]:
    """Scores against a truth, by name.

    Args:
        benchmark: the benchmark.
        graphs: :func:`~genas.pipeline.laboratory.opponents.graphs.describe` of the whole space.
        zero_cost: other people's measures, if there are any.
        truth: the data set whose accuracy after 200 epochs is to be ranked.
    """
    columns = (graphs["live"], benchmark[f"{truth}_valid_12"], benchmark[f"{truth}_test_12"])
    scores = {
        **dict(zip(EVERYWHERE, map(looked_up, columns), strict=True)),
        "params": looked_up(graphs["params"]),
    }
    if zero_cost is not None:
        for column in zero_cost.columns:
            if column.endswith(f"_{HOME}"):
                scores[f"{column.removesuffix(f'_{HOME}')} (table)"] = looked_up(zero_cost[column])
        scores[AGGREGATED] = aggregated(zero_cost[f"jacov_{HOME}"], zero_cost[f"params_{HOME}"])
    return scores


def compared(runs: list[Stored], zero_cost: pd.DataFrame, dataset: str, size: str) -> pd.DataFrame:
    """Our values of zero-cost measures beside other people's, by rank: tau between the two, the mean over runs.

    Args:
        runs: readings of supernets.
        zero_cost: other people's values.
        dataset: that the supernets were trained on; theirs are of the same where the table has it.
        size: of the supernets, for the note.
    """
    rows = []
    for name in further(runs[0]):
        if name not in THEIRS:
            continue
        theirs = f"{THEIRS[name]}_{dataset}"
        theirs = theirs if theirs in zero_cost else f"{THEIRS[name]}_{HOME}"
        both = looked_up(zero_cost[theirs])(runs[0])
        known = np.isfinite(both)
        taus = [tau(further(run)[name](run)[known], both[known]) for run in runs]
        value = float(np.mean(taus))
        note = "" if value >= ALIKE else f"ours of a path of {size}, theirs of the benchmark's own network"
        rows.append({"measure": name, "theirs": theirs, "architectures": int(known.sum()), "tau": value, "note": note})
    return pd.DataFrame(rows, columns=["measure", "theirs", "architectures", "tau", "note"])

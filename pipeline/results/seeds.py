"""Rows that differ in nothing but a seed, and how far their numbers spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

from genas.pipeline.config import Params
from genas.pipeline.results.board import Board, number
from genas.pipeline.stages.graph import graph

SEED = "seed"
"""The axis of rows that only repeats them."""


class Spread(NamedTuple):
    """The mean over seeds, the standard deviation of a sample (n - 1), how many seeds there are."""

    mean: float
    deviation: float
    seeds: int

    def shown(self, column: str) -> str:
        """``95.10 ± 0.25``, as a table shows the column."""
        return f"{number(self.mean, column)} ± {number(self.deviation, column)}"


def spread(values: Iterable[float]) -> Spread | None:
    """Of the values of several seeds; None where there are not two."""
    known = list(values)
    return Spread(statistics.fmean(known), statistics.stdev(known), len(known)) if len(known) > 1 else None


def repeated(params: Params, board: Board) -> dict[str, list[str]]:
    """Retrained networks that have run and differ in seeds alone, by the name of the first of them; those that stand
    alone are left out."""
    nodes = graph(params)
    groups: dict[object, list[str]] = {}
    for row in board:
        cell = nodes["retrain", row].inputs[1]
        axes = {axis: value for axis, value in nodes[cell].axes.items() if axis != SEED}
        own = {
            key: value for key, value in params.rows[row].model_dump(mode="json").items() if key not in (SEED, "cell")
        }
        groups.setdefault((cell[0], *sorted(axes.items()), *sorted(own.items(), key=str)), []).append(row)
    return {rows[0]: rows for rows in groups.values() if len(rows) > 1}

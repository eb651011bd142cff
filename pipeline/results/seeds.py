"""Rows that differ in nothing but seeds, and how far their numbers spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

from genas.pipeline.config import Params
from genas.pipeline.results.board import Board, number
from genas.pipeline.stages.graph import graph

SEEDS = ("seed", "supernet", "noise")
"""The axes of searches that only repeat them."""


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


def groups(params: Params) -> list[list[str]]:
    """All retrained rows, those that differ in seeds alone together: in that of their training, and in those of the
    search that found their cell, whether these are one (``search``) or apart (``reseed``)."""
    nodes = graph(params)
    found: dict[object, list[str]] = {}
    for row, settings in params.rows.items():
        stage, cell = nodes["retrain", row].inputs[1]
        axes = nodes[stage, cell].axes
        origin = "a search" if "metric" in axes else stage
        same = {axis: value for axis, value in axes.items() if axis not in SEEDS}
        own = settings.model_dump(mode="json", exclude={"seed", "cell"})
        found.setdefault((origin, *sorted(same.items()), *own.values()), []).append(row)
    return list(found.values())


def repeated(params: Params, board: Board) -> dict[str, list[str]]:
    """Of these groups those of which several have run, by the first that has; what has not run is left out."""
    ran = [[row for row in rows if row in board] for rows in groups(params)]
    return {rows[0]: rows for rows in ran if len(rows) > 1}


def spreads(params: Params, board: Board) -> dict[str, dict[str, Spread]]:
    """By the first row of each repeated group, the spread of each of its numbers that several of its rows have."""
    found: dict[str, dict[str, Spread]] = {}
    for first, rows in repeated(params, board).items():
        names = dict.fromkeys(name for row in rows for name in board[row])
        each = {name: spread(board[row][name] for row in rows if name in board[row]) for name in names}
        found[first] = {name: one for name, one in each.items() if one is not None}
    return found

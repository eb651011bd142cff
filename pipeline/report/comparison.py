"""The paper's Tables 2, 3, 4 and 8 with our rows beside its lines, as frames: what the report prints and keeps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from genas.pipeline.config import Params
from genas.pipeline.report.paper_tables import TABLE_2, TABLE_3, TABLE_4, TABLE_8, Line, beside, paper_dataset
from genas.pipeline.results import board as results
from genas.pipeline.results import records
from genas.pipeline.results.seeds import groups, spread
from genas.pipeline.stages import Key

COST = ("params", "macs")
TABLES = {
    "table2": ("Table 2: search metrics", TABLE_2, (*COST, "top1", "top5")),
    "table3": ("Table 3: published cells and methods", TABLE_3, (*COST, "top1", "top5")),
    "table4": (
        "Table 4: distribution shift and other tasks",
        TABLE_4,
        (*COST, "v2_top1", "a_top1", "o_aupr", "ap", "miou"),
    ),
}
"""Each table's title, the paper's lines and its columns."""

PAPERS_RECIPE = "official"
"""What the paper's rows were trained by; a row of another recipe says so where it stands beside them."""

GAMMA_COLUMNS = ("flatness_share", "top1", "top5")

PIXELS, LAYERS, CLASSES = 224, 14, 1000
"""The paper's networks: images of ImageNet, cells, classes (Section 4.1)."""
TASK_SETS = {"ap": ("detect", "coco"), "miou": ("segment", "cityscapes")}
"""What the paper's columns of other tasks were measured on, and the section of ``params.yaml`` that names ours."""


def comparable(params: Params, root: Path, row: str) -> bool:
    """Whether the numbers of a retrained row may stand beside the paper's: its network has their size, and was trained
    on ImageNet as they were (by the name of the data set and, where it was looked at, the number of its classes)."""
    settings = params.rows[row]
    if paper_dataset(settings.dataset) != "ImageNet":
        return False
    classes = records.manifest(root, settings.dataset).get("classes")
    return (settings.image_size, settings.layers, len(classes or [0] * CLASSES)) == (PIXELS, LAYERS, CLASSES)


def _column_comparable(params: Params, column: str) -> bool:
    section, expected = TASK_SETS.get(column, ("", ""))
    found = getattr(params, section) if section else None
    return not section or (found is not None and found.dataset == expected)


def pairs(ours: dict[str, float], paper: dict[str, float], columns: tuple[str, ...]) -> dict[str, float | None]:
    """Each column with ours and, behind it, the paper's value; None where there is none."""
    found: dict[str, float | None] = {}
    for name in columns:
        found |= {name: ours.get(name), f"paper_{name}": paper.get(name)}
    return found


def over_seeds(lines: Sequence[dict[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """Lines that differ in seeds alone as one: means over those that have run, behind each its standard deviation,
    ``<column>_deviation``, and how many have run, ``seeds``; all else is as in the first of them."""
    ran = [line for line in lines if any(line[name] is not None for name in columns)]
    found: dict[str, Any] = {**(ran or lines)[0], "seeds": len(ran)}
    for name in columns:
        known = [line[name] for line in ran if line[name] is not None]
        several = spread(known)
        found |= {name: several.mean if several else found[name]}
        found |= {f"{name}_deviation": several.deviation if several else None}
    return found


def together(lines: Sequence[tuple[Hashable, dict[str, Any]]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Each line behind what it is called without seeds; those that are called alike as one."""
    found: dict[Hashable, list[dict[str, Any]]] = {}
    for name, line in lines:
        found.setdefault(name, []).append(line)
    return [over_seeds(same, columns) for same in found.values()]


def _training(params: Params, row: str) -> dict[str, str]:
    """How a row is trained and on what, in the columns of a table; blank for no row."""
    settings = params.rows.get(row)
    return {"recipe": settings.recipe, "trained_on": settings.dataset} if settings else {"recipe": "", "trained_on": ""}


def _first_of_groups(params: Params) -> dict[str, str]:
    """Of every retrained row, the first of those that differ from it in seeds alone."""
    return {row: rows[0] for rows in groups(params) for row in rows}


def compared(
    params: Params, root: Path, board: results.Board, lines: tuple[Line, ...], columns: tuple[str, ...]
) -> pd.DataFrame:
    """One line for each of our rows that stands beside a line of the paper, or for that line alone; rows that differ in
    seeds alone are one.

    Columns: ``searched_on`` (in the paper), ``method``, ``row``, ``cell``, ``recipe``, ``trained_on``, ``state``
    (empty, or why there is nothing), ``comparable`` (the columns whose numbers may stand beside the paper's, with
    blanks between), then ``params``, ``paper_params`` and so on; at the end ``seeds``, ``params_deviation`` and so on.
    """
    first = _first_of_groups(params)
    rows: list[tuple[Hashable, dict[str, Any]]] = []
    for place, (line, matching) in enumerate(beside(params, lines)):
        absent = "not run" if line.zoo or line.measure else "not run, its cell is not published"
        for row in matching or [""]:
            ours, cell = board.get(row, {}), params.rows[row].cell if row else ""
            state = ("" if ours else "not run") if row else absent
            about = {"searched_on": line.dataset, "method": line.method, "row": row, "cell": cell}
            about |= {**_training(params, row), "state": state, "comparable": ""}
            if ours and comparable(params, root, row):
                about["comparable"] = " ".join(c for c in columns if _column_comparable(params, c))
            rows.append(((place, first.get(row)), {**about, **pairs(ours, line.values, columns)}))
    return pd.DataFrame(together(rows, columns))


def gammas(params: Params, root: Path, board: results.Board) -> pd.DataFrame:
    """Table 8: one line for each search by angle and flatness, whatever its gamma, then for each other gamma that the
    stage ``rerank`` gave its candidates; with the retrained rows of their cells. Those that differ in seeds alone are
    one line."""
    searched: dict[str, tuple[float, list[Key]]] = {}
    for search, axes in params.matrix.search.rows().items():
        gamma = params.metrics[axes["metric"]].gamma
        if gamma is not None:
            searched[search] = (gamma, [("search", search)])
    lines = [(search, *about) for search, about in sorted(searched.items(), key=lambda item: item[1][0])]
    for search, gamma in product(params.matrix.rerank.search, params.matrix.rerank.gamma):
        key = ("rerank", f"{search}-{gamma}")
        if gamma == params.metric_of(search).terms["flatness"] and search in searched:
            searched[search][1].append(key)  # the search's own gamma has the search's own winner
        else:
            lines.append((search, float(gamma), [key]))
    first = _first_of_groups(params)
    rows: list[tuple[Hashable, dict[str, Any]]] = []
    for search, gamma, keys in lines:
        axes = params.matrix.search.rows()[search]
        cells = {"/".join(key) for key in keys}
        for name in [name for name, row in params.rows.items() if row.cell in cells] or [""]:
            ours = {**board.get(name, {}), **records.metrics(root, keys[0])}
            about = {"search": search, "stage": keys[0][0], "gamma": gamma, "row": name}
            about |= _training(params, name)
            fits = {"flatness_share": paper_dataset(axes["dataset"]) == "CIFAR-100"}
            fits |= dict.fromkeys(GAMMA_COLUMNS[1:], bool(name) and comparable(params, root, name))
            about["comparable"] = " ".join(column for column, fit in fits.items() if fit)
            same = (keys[0][0], gamma, axes["dataset"], axes["metric"], first.get(name))
            rows.append((same, {**about, **pairs(ours, TABLE_8.get(gamma, {}), GAMMA_COLUMNS)}))
    columns = ["search", "stage", "gamma", "row", "recipe", "trained_on", "comparable", *pairs({}, {}, GAMMA_COLUMNS)]
    columns += ["seeds", *(f"{name}_deviation" for name in GAMMA_COLUMNS)]
    return pd.DataFrame(together(rows, GAMMA_COLUMNS), columns=columns)


def tables(params: Params, root: Path, board: results.Board) -> dict[str, pd.DataFrame]:
    """All of them by name, ``table2`` to ``table8``."""
    tables_2_to_4 = {
        name: compared(params, root, board, lines, columns) for name, (_, lines, columns) in TABLES.items()
    }
    return {**tables_2_to_4, "table8": gammas(params, root, board)}

"""The report's tables of results: every retrained network, and the paper's tables with our numbers beside theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import Params
from pipeline.drawing.bars import draw_bars
from pipeline.report import comparison
from pipeline.report.page import table
from pipeline.results import board as results
from pipeline.results import records
from pipeline.results.board import COLUMNS, columns_of, number
from pipeline.stages import STAGES


def tables(params: Params, root: Path, folder: Path) -> str:
    """All of them; the paper's also go into ``tables/*.csv`` of the report's folder."""
    board = results.leaderboard(params, root)
    parts = [
        "## Results\n\nEvery number is *ours (the paper's)*; MACs are what the paper calls FLOPs; accuracies in %."
    ]
    if board:
        columns = columns_of(board)
        headings = ("row", "cell", *columns.values())
        cells = [(row, params.rows[row].cell, *(number(v.get(c), c) for c in columns)) for row, v in board.items()]
        parts.append("### Every retrained network\n\n" + table(headings, cells))
        bars = {
            COLUMNS[c]: {row: v[c] for row, v in board.items() if c in v} for c in ("top1", "v2_top1", "ap", "miou")
        }
        bars = {name: panel for name, panel in bars.items() if panel}
        draw_bars(bars, folder / "pictures" / "results.png", "retrained networks")
        parts.append("![results](pictures/results.png)")
    found = comparison.tables(params, root, board)
    for name, frame in found.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=False)
    for name, (title, _, compared) in comparison.TABLES.items():
        parts.append(f"### {title}\n\n" + _compare(found[name], compared))
    parts += [*_whole(params, root), "### Table 8: gamma\n\n" + _gammas(found["table8"])]
    return "\n\n".join(parts)


def _paired(line: Mapping[Any, Any], columns: Sequence[str]) -> list[str]:
    """``ours (the paper's)`` for each column."""

    def shown(name: str, column: str) -> str:
        return number(None if pd.isna(line[name]) else line[name], column)

    return [f"{shown(c, c)} ({shown(f'paper_{c}', c)})" for c in columns]


def _recipe(line: Mapping[Any, Any]) -> str:
    """The recipe of a row that was not trained as the paper's were."""
    return f"recipe {line['recipe']}" if line["recipe"] not in ("", comparison.PAPERS_RECIPE) else ""


def _compare(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    rows = []
    for line in frame.to_dict("records"):
        ours = f"{line['row']} from {line['cell']}" if line["row"] else ""
        state = ", ".join(text for text in (ours, _recipe(line), line["state"]) if text)
        rows.append((line["searched_on"], line["method"], state, *_paired(line, columns)))
    return table(("searched on", "in the paper", "our row", *(COLUMNS[c] for c in columns)), rows)


def _whole(params: Params, root: Path) -> list[str]:
    """What Table 4 leaves out: the cost of whole detectors and segmenters, and their other measures."""
    parts = []
    for stage in (stage for stage in STAGES.values() if stage.task):
        measured = {row: records.metrics(root, (stage.name, row)) for row in stage.rows(params)}
        lines = [(row, *(number(values.get(c), c) for c in stage.task)) for row, values in measured.items() if values]
        headings = ("row", *map(results.heading, stage.task))
        parts.append(f"#### {stage.title}, whole\n\n" + (table(headings, lines) if lines else "not run"))
    return parts


def _gammas(frame: pd.DataFrame) -> str:
    rows = []
    for line in frame.to_dict("records"):
        ours = ", ".join(text for text in (line["row"] or "not retrained", _recipe(line)) if text)
        how = "searched" if line["stage"] == "search" else "rated anew"
        rows.append((line["search"], how, f"{line['gamma']:g}", ours, *_paired(line, comparison.GAMMA_COLUMNS)))
    return table(("candidates of", "", "gamma", "retrained as", "flatness (%)", "top-1", "top-5"), rows)

"""The report's tables of results: every retrained network, and the paper's tables with our numbers beside theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genas.pipeline.config import Params
from genas.pipeline.drawing.bars import draw_bars
from genas.pipeline.report import comparison
from genas.pipeline.report.page import emphasised, folded, picture, table
from genas.pipeline.report.paper_tables import TABLE_8
from genas.pipeline.report.provenance import linked
from genas.pipeline.results import board as results
from genas.pipeline.results import records
from genas.pipeline.results.board import COLUMNS, COST, Board, columns_of, number
from genas.pipeline.results.seeds import Spread, repeated, spreads
from genas.pipeline.stages import STAGES
from genas.pipeline.stages.graph import graph

ABOUT = (
    "Accuracies in %, costs in millions; MACs are multiply-adds, which the paper calls FLOPs. The best value of a "
    "column is bold. The name of a row leads to its parameters, metrics and inputs."
)
APART = (
    "The paper's numbers stand beside a row of ours only where its network was trained on ImageNet at the paper's size "
    "(and, for AP and mIoU, judged on COCO and Cityscapes). Elsewhere they would compare other data: they are folded "
    "below each table."
)
DRAWN = ("top1", "v2_top1", "ap", "miou")
"""What the bars show."""


def tables(params: Params, root: Path, folder: Path) -> str:
    """All of them; the paper's also go into ``tables/*.csv`` of the report's folder."""
    board = results.leaderboard(params, root)
    parts = [f"## Results\n\n{ABOUT} {APART}"]
    datasets = results.by_dataset(params, board)
    for dataset, networks in datasets.items():
        where = f" on {dataset}" if len(datasets) > 1 else ""
        caption = f"Every network retrained{where} and what judges it."
        parts += [f"### Every network retrained{where}", every(params, root, networks, columns_of(networks), caption)]
        parts += _bars(networks, folder, dataset)
    parts += over_seeds(params, root, board)
    found = comparison.tables(params, root, board)
    for name, frame in found.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=False)
    for name, (title, _, compared) in comparison.TABLES.items():
        parts.append(f"### The paper's {title}\n\n" + _compare(params, root, found[name], title, compared))
    parts += ["### The paper's Table 8: gamma\n\n" + _gammas(root, found["table8"]), *_whole(params, root)]
    return "\n\n".join(parts)


def every(params: Params, root: Path, board: Board, columns: Iterable[str], caption: str) -> str:
    """A line for each retrained network, the best of each column bold."""
    shown = {}
    for name in columns:
        values = [found.get(name) for found in board.values()]
        cells = [number(value, name) for value in values]
        shown[name] = cells if name in COST else emphasised(cells, values)
    lines = [
        (linked(root, ("retrain", row)), _cell(params, root, row), *(cells[place] for cells in shown.values()))
        for place, row in enumerate(board)
    ]
    return table(("row", "cell", *(COLUMNS[name] for name in shown)), lines, caption)


def _cell(params: Params, root: Path, row: str) -> str:
    stage, _, cell = params.rows[row].cell.partition("/")
    return linked(root, (stage, cell), params.rows[row].cell)


def _bars(board: Board, folder: Path, dataset: str) -> list[str]:
    bars = {COLUMNS[c]: {row: v[c] for row, v in board.items() if c in v} for c in DRAWN}
    bars = {name: panel for name, panel in bars.items() if panel}
    if not bars:
        return []
    name = f"pictures/results_{dataset}.png"
    draw_bars(bars, folder / name)
    return [picture(name, f"Networks retrained on {dataset} by what judges them, in %.")]


def over_seeds(params: Params, root: Path, board: Board) -> list[str]:
    """Means and standard deviations of rows that differ in seeds alone; nothing where there are none."""
    lines = []
    columns = [name for name in columns_of(board) if name not in COST]
    groups = repeated(params, board)
    for first, found in spreads(params, board).items():
        cells = [f"{found[name].shown(name)} (n = {found[name].seeds})" if name in found else "-" for name in columns]
        lines.append((", ".join(linked(root, ("retrain", row)) for row in groups[first]), *cells))
    headings = ("rows", *(COLUMNS[name] for name in columns))
    caption = "Rows that differ in seeds alone: mean ± standard deviation of a sample (n - 1), over n seeds."
    return ["### Over seeds", table(headings, lines, caption)] if lines else []


def _recipe(line: Mapping[Any, Any]) -> str:
    """The recipe of a row that was not trained as the paper's were, and on what."""
    known = line["recipe"] in ("", comparison.PAPERS_RECIPE)
    return "" if known else f"recipe {line['recipe']} on {line['trained_on']}"


def _value(line: Mapping[Any, Any], name: str) -> float | None:
    return None if pd.isna(line[name]) else float(line[name])


def _with_deviation(line: Mapping[Any, Any], column: str) -> str:
    """Our value of a column; over several seeds, their mean ± their standard deviation, but for costs."""
    value, deviation = _value(line, column), _value(line, f"{column}_deviation")
    if value is None or deviation is None or column in COST:
        return number(value, column)
    return Spread(value, deviation, int(line["seeds"])).shown(column)


def _seeds(line: Mapping[Any, Any]) -> str:
    return f"n = {line['seeds']}" if line["seeds"] > 1 else ""


def _beside(lines: Sequence[Mapping[Any, Any]], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of our values, the best bold; behind a column the paper's where a line may be compared."""
    headings, cells = [], []
    for column in columns:
        values = [_value(line, column) for line in lines]
        shown = [_with_deviation(line, column) for line in lines]
        headings.append(COLUMNS.get(column, "flatness (%)"))
        cells.append(emphasised(shown, values) if column in COLUMNS and column not in COST else shown)
        beside = [column in line["comparable"].split() for line in lines]
        if any(beside):
            paper = [_value(line, f"paper_{column}") for line in lines]
            headings.append(f"{headings[-1]}, paper")
            cells.append([number(value if fits else None, column) for value, fits in zip(paper, beside, strict=True)])
    return headings, [list(row) for row in zip(*cells, strict=True)]


def _searched_on(params: Params, line: Mapping[Any, Any]) -> str:
    stage, _, cell = str(line["cell"]).partition("/")
    axes = graph(params)[stage, cell].axes
    return str(axes.get("dataset", line["searched_on"]))


def _compare(params: Params, root: Path, frame: pd.DataFrame, title: str, columns: Sequence[str]) -> str:
    """Our rows that stand for a line of a table of the paper; below, folded, the lines that have none, and the paper's
    numbers of those that may not be compared."""
    lines = frame.to_dict("records")
    ours = [line for line in lines if line["row"] and not line["state"]]
    name, _, about = title.partition(": ")
    parts = []
    if ours:
        headings, cells = _beside(ours, columns)
        rows = []
        for line, values in zip(ours, cells, strict=True):
            about_row = (linked(root, ("retrain", line["row"])), _recipe(line), _seeds(line))
            row = ", ".join(text for text in about_row if text)
            rows.append((line["method"], _searched_on(params, line), row, *values))
        caption = f"{about.capitalize()}: our rows of the paper's {name}."
        parts.append(table(("in the paper", "searched on", "our row", *headings), rows, caption))
    else:
        parts.append("No row of this table has run.")
    apart = [line for line in lines if set(columns) - set(line["comparable"].split())]
    idle = sum(bool(line["state"]) for line in lines)
    if apart:
        rows = []
        for line in apart:
            row = ", ".join(text for text in (line["row"], line["state"]) if text)
            theirs = [number(_value(line, f"paper_{column}"), column) for column in columns]
            rows.append((line["method"], line["searched_on"], row, *theirs))
        headings = ["in the paper", "searched on", "our row", *(COLUMNS[column] for column in columns)]
        caption = f"The paper's own numbers in its {name} (ImageNet, 224 pixels), not to be compared with other data."
        told = f"Not run: {idle} of {len(lines)} lines. The paper's numbers" if idle else "The paper's numbers"
        parts.append(folded(told, table(headings, rows, caption)))
    return "\n\n".join(parts)


def _whole(params: Params, root: Path) -> list[str]:
    """What Table 4 leaves out: the cost of whole detectors and segmenters, and their other measures."""
    parts = []
    for stage in (stage for stage in STAGES.values() if stage.task):
        measured = {row: records.metrics(root, (stage.name, row)) for row in stage.rows(params)}
        measured = {row: values for row, values in measured.items() if values}
        if measured:
            columns = {}
            for name in stage.task:
                values = [found.get(name) for found in measured.values()]
                shown = [number(value, name) for value in values]
                columns[name] = shown if name in COST else emphasised(shown, values)
            lines = [
                (linked(root, (stage.name, row)), *(columns[name][place] for name in stage.task))
                for place, row in enumerate(measured)
            ]
            caption = f"{stage.title} around retrained networks; costs are of the whole model."
            headings = ("row", *map(results.heading, stage.task))
            parts.append(f"### {stage.title}, whole\n\n" + table(headings, lines, caption))
    return parts


def _gammas(root: Path, frame: pd.DataFrame) -> str:
    """Table 8: what was searched or rated anew with each gamma; the paper's numbers folded, or beside ours."""
    lines = frame.to_dict("records")
    if not lines:
        return "This profile has no search by angle and flatness."
    ran = [line for line in lines if not all(pd.isna(line[name]) for name in comparison.GAMMA_COLUMNS)]
    parts = []
    if ran:
        headings, cells = _beside(ran, comparison.GAMMA_COLUMNS)
        rows = []
        for line, values in zip(ran, cells, strict=True):
            how = "searched" if line["stage"] == "search" else "rated anew"
            row = linked(root, ("retrain", line["row"])) if line["row"] else "not retrained"
            row = ", ".join(text for text in (row, _recipe(line), _seeds(line)) if text)
            rows.append((linked(root, ("search", line["search"])), how, f"{line['gamma']:g}", row, *values))
        caption = "Angle + flatness by gamma, the weight of flatness: the share of flatness in the winner's score."
        parts.append(table(("candidates of", "how", "gamma", "retrained as", *headings), rows, caption))
    else:
        parts.append("No row of this table has run.")
    whole = set(comparison.GAMMA_COLUMNS)
    if any(whole - set(line["comparable"].split()) for line in lines):
        theirs = [
            (f"{gamma:g}", *(number(values[column], column) for column in comparison.GAMMA_COLUMNS))
            for gamma, values in TABLE_8.items()
        ]
        idle = [f"- gamma {line['gamma']:g} of {line['search']}" for line in lines if line not in ran]
        told = f"Not run: {len(idle)} of {len(lines)} lines. The paper's numbers" if idle else "The paper's numbers"
        caption = "The paper's own Table 8 (CIFAR-100, then ImageNet), not to be compared with other data."
        shown = table(("gamma", "flatness (%)", "top-1", "top-5"), theirs, caption)
        parts.append(folded(told, *(["\n".join(idle)] if idle else []), shown))
    return "\n\n".join(parts)

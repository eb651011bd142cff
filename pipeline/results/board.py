"""The numbers of a profile, from the files that its rows left: as a list and as a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genas.pipeline.config import MEASURES, Params, load_params
from genas.pipeline.results import records
from genas.pipeline.stages import STAGES, folder_of
from genas.pipeline.stages.graph import flatten, graph

HEADINGS = {
    "params": "params (M)",
    "macs": "MACs (M)",
    "top1": "top-1",
    "best_top1": "best top-1",
    "top5": "top-5",
    "v2_top1": "V2",
    "a_top1": "A",
    "o_aupr": "O AUPR",
    "r_top1": "R",
    "real_top1": "Real",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "miou": "mIoU",
    "macc": "mAcc",
    "aacc": "aAcc",
}
"""How tables head the metrics of networks."""
JUDGES = [stage.name for stage in STAGES.values() if stage.judges]
"""The stages that judge retrained networks."""
COLUMNS = {metric: HEADINGS[metric] for stage in STAGES.values() for metric in stage.judges}
"""What a retrained network is judged by, in the order of a table."""
OPTIONAL = {"r_top1", "real_top1"}
"""Of these, what is left out of a table where no network has it."""
COST = ("params", "macs")

Board = dict[str, dict[str, float]]
"""Values by retrained row and name."""


def collect(root: Path) -> list[dict[str, Any]]:
    """``{"stage", "row", "metrics"}`` of every row that has run, in the order of the chain.

    Raises:
        GenasError: ``params.yaml`` is missing or wrong.
    """
    keys = [key for key in graph(load_params(root)) if (root / folder_of(key) / "metrics.json").exists()]
    return [{"stage": stage, "row": row, "metrics": records.metrics(root, (stage, row))} for stage, row in keys]


def leaderboard(params: Params, root: Path) -> Board:
    """Every retrained row with all that was measured along its chain: search, retraining, shift, AP, mIoU.

    The search's own values are called ``search_score``, ``search_flatness`` ...; ``params`` and ``macs`` are those
    of the retrained network.
    """
    board = {}
    for row, settings in params.rows.items():
        found = records.metrics(root, ("retrain", row))
        if not found:
            continue
        stage, _, cell = settings.cell.partition("/")
        searched = records.metrics(root, (stage, cell))
        found |= {f"search_{name}": value for name, value in searched.items() if name not in COST}
        for stage in JUDGES:
            # Shift repeats retraining's top-1 and top-5; the cost of the others is the whole model's.
            more = records.metrics(root, (stage, row))
            found |= {name: value for name, value in more.items() if name not in found}
        board[row] = found
    return board


def standing(params: Params, root: Path, row: str) -> dict[str, float]:
    """All that judges a retrained row, called as in the runs of rows: ``retrain/top1``, ``search/score_normalised``.

    Left out is what compares nothing: raw scores, which each metric has on a scale of its own, and the cost of the
    models for other tasks, which hold a whole detector.
    """
    found: dict[str, float] = {}
    stage, _, cell = params.rows[row].cell.partition("/")
    searched, scale = records.metrics(root, (stage, cell)), records.spread(root, (stage, cell))
    measures = dict.fromkeys((*MEASURES, *(term for metric in params.metrics.values() for term in metric.terms)))
    found |= {f"{stage}/{name}": searched[name] for name in measures if name in searched and name not in COST}
    if scale:
        found[f"{stage}/score_normalised"] = scale(searched["score"])
    for name, judge in STAGES.items():
        shown = {*judge.judges, *judge.task} - set(COST if judge.task else ())
        measured = records.metrics(root, (name, row)) if judge.judges else {}
        found |= {f"{name}/{metric}": value for metric, value in measured.items() if metric in shown}
    return found


def entry(params: Params, root: Path, row: str) -> records.Record:
    """A retrained row's line of the leaderboard: its architecture, its search's axes, its data, all that judges it."""
    nodes = graph(params)
    described = flatten(params.rows[row].model_dump(mode="json"))
    cell = nodes["retrain", row].inputs[1]
    searched = {"searched_on" if axis == "dataset" else axis: value for axis, value in nodes[cell].axes.items()}
    described |= {axis: value for axis, value in searched.items() if axis not in described and axis != "row"}
    trained = records.head(params, root, ("retrain", row))
    tags = {**trained.tags, "stage": "leaderboard"}
    return records.Record(row, described, tags, trained.digests, standing(params, root, row), {}, [])


def by_dataset(params: Params, board: Board) -> dict[str, Board]:
    """The networks by their data set, within which accuracies compare; that of most of them comes first."""
    found: dict[str, Board] = {}
    for row, values in board.items():
        found.setdefault(params.rows[row].dataset, {})[row] = values
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def columns_of(board: Board) -> dict[str, str]:
    """Those of :data:`COLUMNS` that a table of these networks has."""
    return {c: head for c, head in COLUMNS.items() if c not in OPTIONAL or any(c in v for v in board.values())}


def number(value: float | None, column: str) -> str:
    """A value as a table shows it: costs in millions, counts whole, the rest with two decimals, ``-`` for none."""
    if value is None:
        return "-"
    if column in ("width", "best_epoch"):
        return f"{value:g}"
    if column not in ("params", "macs"):
        return f"{value:.2f}"
    return f"{value / 1e6:.0f}" if value >= 1e9 else f"{value / 1e6:.3g}"


def heading(metric: str) -> str:
    """What a table calls a metric."""
    return HEADINGS.get(metric, metric.replace("_", " "))

"""The numbers of a profile, from the files that its rows left: as a list, as a leaderboard, as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import Params, load_params
from pipeline.results import records
from pipeline.stages import STAGES, folder_of
from pipeline.stages.graph import graph

if TYPE_CHECKING:
    from rich.console import Console

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


DETAILS = {"candidates", "quarantined", "loss", "flatness_error", *(f"loss_{i}" for i in range(10))}
"""What a search measures beside its score; in the JSON, not in the table."""


def detail(name: str) -> bool:
    """Whether a metric is left to the JSON; of the agreement between measures a table shows that with flatness."""
    return name in DETAILS or (name.startswith("tau_") and name.count("_") > 1 and not name.startswith("tau_flatness_"))


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


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print what :func:`collect` found: a line for each retrained network, then whole detectors and segmenters, then
    every other stage in the order of the chain."""
    if not rows:
        console.print("no row has run yet")
        return
    by_stage: dict[str, Board] = {}
    for entry in rows:
        by_stage.setdefault(entry["stage"], {})[entry["row"]] = entry["metrics"]
    networks: Board = {}
    for stage in JUDGES:
        for row, metrics in by_stage.get(stage, {}).items():
            networks[row] = {**metrics, **networks.get(row, {})}
    if networks:
        _print(console, "retrained networks", networks, columns_of(networks))
    for name, stage_rows in by_stage.items():
        stage_title, task = STAGES[name].title.lower(), STAGES[name].task
        if task:
            _print(console, stage_title, stage_rows, {metric: heading(metric) for metric in task})
        elif name not in JUDGES:
            names = dict.fromkeys(n for metrics in stage_rows.values() for n in metrics if not detail(n))
            _print(console, stage_title, stage_rows, {metric: heading(metric) for metric in names})


def heading(metric: str) -> str:
    """What a table calls a metric."""
    return HEADINGS.get(metric, metric.replace("_", " "))


def show_zoo(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print what :func:`models.networks.published.zoo_table` gives, in millions; a figure of the paper that ours does
    not round to has a ``!`` behind it, and what is to be known of a row stands below the table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("id", "width", "params", "paper", "MACs", "paper", "top-1"):
        table.add_column(title, no_wrap=True, justify="left" if title == "id" else "right")
    for row in rows:
        paper, match = row["paper"] or {}, row["match"] or {}
        costs = []
        for name, key, unit, digits in (("params", "params_M", 1, 3), ("macs", "flops_G", 1000, 1)):
            costs.append(f"{row[name] / 1e6:.{digits}f}" if row[name] else "-")
            costs.append(f"{paper[key] * unit:g}{'!' if match.get(name) is False else ' '}" if key in paper else "- ")
        top1 = f"{paper['top1']:.2f}" if "top1" in paper else "-"
        table.add_row(row["id"], str(row["width"] or "-"), *costs, top1)
    console.print(table)
    for row in rows:
        if row["note"]:
            status = "" if row["status"] == "published" else f"{row['status']}; "
            console.print(f"[bold]{row['id']}[/bold]: {status}{row['note']}", highlight=False)


def _print(console: Console, title: str, found: dict[str, dict[str, float]], columns: dict[str, str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("row", no_wrap=True)
    for column in columns.values():
        table.add_column(column, justify="right")
    for row, values in found.items():
        digits = [
            f"{values[n]:.4g}" if n in values and n not in HEADINGS else number(values.get(n), n) for n in columns
        ]
        table.add_row(row, *digits)
    console.print(table)

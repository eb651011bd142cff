"""The numbers of a profile as tables on a terminal: none loses a digit where a row's name and one number have room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genas.pipeline.config import Params, load_params
from genas.pipeline.results.board import (
    COLUMNS,
    COST,
    HEADINGS,
    JUDGES,
    Board,
    by_dataset,
    columns_of,
    heading,
    leaderboard,
    number,
)
from genas.pipeline.results.seeds import repeated, spreads
from genas.pipeline.stages import STAGES, folder_of

if TYPE_CHECKING:
    from rich.console import Console

DETAILS = {"candidates", "quarantined", "loss", "flatness_error", *(f"loss_{i}" for i in range(10))}
"""What a search measures beside its score; in the JSON, not in the table."""
FOUND = ("top1", "ap", "miou")
"""What the last lines of a run tell of its best network."""
BESIDE = 2
"""Characters between two columns."""


def detail(name: str) -> bool:
    """Whether a metric is left to the JSON; of the agreement between measures a table shows that with flatness."""
    return name in DETAILS or (name.startswith("tau_") and name.count("_") > 1 and not name.startswith("tau_flatness_"))


def show(rows: Sequence[dict[str, Any]], console: Console, params: Params) -> None:
    """Print what :func:`collect` found: a line for each retrained network, in a table for each data set that some were
    trained on, one for those that differ in seeds alone, then whole detectors and segmenters, then every other stage in
    the order of the chain."""
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
    datasets = by_dataset(params, networks)
    for dataset, board in datasets.items():
        title = f"networks retrained on {dataset}" if len(datasets) > 1 else "retrained networks"
        _print(console, title, board, columns_of(board))
    if networks:
        _print_over_seeds(console, networks, params)
    for name, stage_rows in by_stage.items():
        stage_title, task = STAGES[name].title.lower(), STAGES[name].task
        if task:
            _print(console, stage_title, stage_rows, {metric: heading(metric) for metric in task})
        elif name not in JUDGES:
            names = dict.fromkeys(n for metrics in stage_rows.values() for n in metrics if not detail(n))
            _print(console, stage_title, stage_rows, {metric: heading(metric) for metric in names})


def _fitting(widths: Sequence[int], room: int) -> Iterator[range]:
    """The columns behind the first, in pieces that stand beside it in ``room`` characters; each has one at least."""
    used, start = 0, 1
    for place, width in enumerate(widths[1:], 1):
        if used and widths[0] + BESIDE + used + width + BESIDE > room:
            yield range(start, place)
            start, used = place, 0
        used += width + BESIDE
    yield range(start, len(widths))


def _print(console: Console, title: str, found: Board, columns: dict[str, str]) -> None:
    """One table; on a terminal that is too narrow several, with the name of the row before each. The best value of what
    networks are judged by is bold."""
    lines = [["row", *columns.values()]]
    best: dict[int, str] = {}
    for row, values in found.items():
        digits = [
            f"{values[n]:.4g}" if n in values and n not in HEADINGS else number(values.get(n), n) for n in columns
        ]
        lines.append([row, *digits])
    for place, name in enumerate(columns, 1):
        judged = [values[name] for values in found.values() if name in values]
        if name in COLUMNS and name not in COST and len(judged) > 1:
            best[place] = number(max(judged), name)
    _lay_out(console, title, lines, best)


def _print_over_seeds(console: Console, networks: Board, params: Params) -> None:
    """Networks that differ in seeds alone, if there are any: how many there are (n), and of each number the mean ± the
    standard deviation of a sample (n - 1)."""
    found, groups = spreads(params, networks), repeated(params, networks)
    columns = {
        name: head
        for name, head in columns_of(networks).items()
        if name not in COST and any(name in one for one in found.values())
    }
    lines = [
        [first, str(len(groups[first])), *(one[name].shown(name) if name in one else "-" for name in columns)]
        for first, one in found.items()
    ]
    if columns:
        _lay_out(console, "networks over seeds, mean ± deviation", [["row", "n", *columns.values()], *lines], {})


def _lay_out(console: Console, title: str, lines: Sequence[Sequence[str]], best: Mapping[int, str]) -> None:
    """Lines, the headings first, as a table; the text ``best`` of a column, by its place, is bold."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    if not console.is_terminal:
        console.width = max(console.width, sum(widths) + BESIDE * len(widths) + 1)
    for places in _fitting(widths, console.width - 1):
        table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("row", no_wrap=True)
        for place in places:
            table.add_column(lines[0][place], justify="right", no_wrap=True)
        for line in lines[1:]:
            shown = (f"[bold]{line[i]}[/bold]" if best.get(i) == line[i] else line[i] for i in places)
            table.add_row(line[0], *shown)
        console.print(table)


def show_zoo(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print what :func:`genas.models.networks.published.zoo_table` gives, in millions; a figure of the paper that ours
    does not round to has a ``!`` behind it, and what is to be known of a row stands below the table."""
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


def closing(root: Path, profile: str) -> list[str]:
    """What the runs of a profile have found, where its report lies, and what to do next, a line each; what is not there
    is left out."""
    params = load_params(root)
    board = {row: values for row, values in leaderboard(params, root).items() if "top1" in values}
    page, lines = root / folder_of(("report", "")) / "report.html", []
    datasets = by_dataset(params, board)
    for dataset, networks in datasets.items():
        row, values = max(networks.items(), key=lambda item: item[1]["top1"])
        found = (f"{heading(name)} {number(values[name], name)}" for name in FOUND if name in values)
        where = f" on {dataset}" if len(datasets) > 1 else ""
        lines.append(f"best    {row} ({params.rows[row].cell}){where}: {', '.join(found)}")
    if page.exists():
        lines.append(f"report  {page}")
    return [*lines, f"next    genas results --profile {profile}; genas track ui; genas export ROW"]

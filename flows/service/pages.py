"""What Prefect's pages show of a run besides its log: each row's numbers, progress, results, with links to MLflow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from genas.flows.graph import kind
from genas.flows.service.ports import HOST
from genas.pipeline.config import load_params
from genas.pipeline.results.board import by_dataset, columns_of, heading, leaderboard, number
from genas.pipeline.results.seeds import repeated, spreads
from genas.pipeline.results.terminal import detail
from genas.pipeline.tracking.marks import mark_of


def mlflow_address() -> str:
    """Where MLflow's pages are: the tracking server, else where ``genas track ui`` serves them."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri.rstrip("/") if uri.startswith("http") else f"http://{HOST}:5000"


def key_of(*names: str) -> str:
    """An artifact's key, of the characters that Prefect allows: ``search-digits-angle-flatness-0``."""
    return re.sub("[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")


def run_link(folder: Path, stage: str, page: str = "") -> str:
    """A Markdown link to the MLflow run of a row, or nothing where it has none; ``page`` is a part of it."""
    mark = mark_of(folder, stage)
    if mark is None:
        return ""
    place = f"{mlflow_address()}/#/experiments/{mark.experiment}/runs/{mark.run}{page}?workflowType=machine_learning"
    return f"[{'report' if page else 'MLflow run'}]({place})"


def report_link(folder: Path) -> str:
    """A Markdown link to the report in MLflow, or nothing."""
    return run_link(folder, "report", "/artifacts/report.html")


@contextmanager
def unharmed() -> Iterator[None]:
    """Around what is only for show: whatever is wrong with it is a line in the log, and fails no stage."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("not shown: %s", " ".join(str(error).split())[:300])


@unharmed()
def show_row(folder: Path, stage: str) -> None:
    """A table of what a finished row measured, on the page of the task that runs it."""
    path = folder / "out" / kind(stage) / stage.partition("@")[2] / "metrics.json"
    values = json.loads(path.read_text()) if path.exists() else {}
    table = [
        {"metric": heading(name), "value": number(value, name)}
        for name, value in values.items()
        if isinstance(value, int | float) and not detail(name)
    ]
    links = " · ".join(link for link in (run_link(folder, stage), report_link(folder)) if link)
    if table or links:
        create_table_artifact(table, key_of(folder.name, stage), f"`{stage}` {links}".strip())


class Progress:
    """The bar of a flow run: the share of its rows that have ended."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._rows, self._ended = rows, 0
        self._id: UUID | None = None
        if rows:
            with unharmed():
                about = f"0 of {rows} rows have ended"
                self._id = cast(UUID, create_progress_artifact(0.0, key_of(folder.name, "progress"), about))

    @unharmed()
    def step(self, stage: str, word: str) -> None:
        """One more has ended."""
        self._ended += 1
        if self._id is not None:
            share = round(100 * self._ended / self._rows, 1)
            about = f"{self._ended} of {self._rows} rows have ended, the last `{stage}` ({word})"
            update_progress_artifact(self._id, share, about)


@unharmed()
def show_results(folder: Path) -> None:
    """The leaderboard of the profile as a table, on the page of the flow run; nothing where no network is trained."""
    params = load_params(folder)
    board = leaderboard(params, folder)
    if not board:
        return
    columns, groups, several = columns_of(board), repeated(params, board), len(by_dataset(params, board)) > 1
    over_seeds = {
        row: f"{found['top1'].shown('top1')} (n = {found['top1'].seeds})"
        for first, found in spreads(params, board).items()
        for row in groups[first]
        if "top1" in found
    }
    rows = sorted(board.items(), key=lambda item: -item[1].get("top1", 0.0))
    table = [
        {"row": row, "cell": params.rows[row].cell}
        | ({"trained on": params.rows[row].dataset} if several else {})
        | {head: number(found.get(c), c) for c, head in columns.items()}
        | ({"top-1 over seeds": over_seeds.get(row, "-")} if over_seeds else {})
        for row, found in rows
    ]
    about = f"Retrained networks of `{params.profile}`, the best first. {report_link(folder)}"
    create_table_artifact(table, key_of(folder.name, "leaderboard"), about.strip())

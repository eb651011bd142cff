"""What Prefect's pages show: a row's numbers as text, progress, links; and what is broken there breaks nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from genas.pipeline.tracking.marks import Mark, mark
from tests.flows.conftest import Toy

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
    pytest.mark.usefixtures("prefect_server"),
]


def artifacts() -> list[Any]:
    """Every artifact that the server knows, oldest first."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return sorted(client.read_artifacts(), key=lambda artifact: artifact.created)


def test_a_run_shows_each_row_and_how_far_it_is(done: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    from genas.flows.reproduce import reproduce

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5001/")
    run = uuid4().hex
    mark(done.folder, "search@a-angle-0", Mark("7", run))
    before = {artifact.id for artifact in artifacts()}
    (done.folder / "raw" / "a.txt").write_text("other")
    ended = reproduce(str(done.folder), ("search@a-angle-0",), 1)
    assert ended == {"supernet@a-0": "done", "search@a-angle-0": "done"}
    bar, *tables = [artifact for artifact in artifacts() if artifact.id not in before]
    assert (bar.type, bar.data) == ("progress", 100.0)
    assert bar.description == "2 of 2 rows have ended, the last `search@a-angle-0` (done)"
    assert [table.type for table in tables] == ["table", "table"]
    assert all(table.task_run_id for table in tables), "each on the page of its task"
    value = json.loads(done.outputs()["out/search/a-angle-0/metrics.json"])["value"]
    assert json.loads(tables[1].data) == [{"metric": "value", "value": f"{value:.2f}"}]
    link = f"http://mlflow:5001/#/experiments/7/runs/{run}?workflowType=machine_learning"
    assert tables[1].description == f"`search@a-angle-0` [MLflow run]({link})"


def test_numbers_that_cannot_be_read_fail_no_stage(done: Toy, tmp_path: Path) -> None:
    from prefect import flow

    from genas.flows.service.pages import Progress, show_results, show_row

    (done.folder / "out/report/metrics.json").write_text("{")
    (tmp_path / "empty").mkdir()

    @flow
    def shown() -> str:
        show_row(done.folder, "report")
        show_results(tmp_path / "empty")
        Progress(tmp_path / "empty", 0).step("report", "done")
        return "went on"

    assert shown() == "went on"


def test_keys_are_what_prefect_allows() -> None:
    from genas.flows.service.pages import key_of

    assert key_of("demo", "search@digits-angle_flatness-0") == "demo-search-digits-angle-flatness-0"

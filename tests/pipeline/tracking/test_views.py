"""What MLflow's pages are told to show: views of columns and charts that the runs have, and links to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from genas.pipeline.config import load_params
from genas.pipeline.tracking import views
from genas.pipeline.tracking.board import links, rebuild
from genas.pipeline.tracking.mlflow import uri
from tests.pipeline.conftest import leave

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow.*"),
    pytest.mark.usefixtures("undrawn"),
]


def state(view: views.View) -> dict:  # type: ignore[type-arg]
    """What MLflow's page reads of a view."""
    envelope = json.loads(view.tag())
    assert (envelope["name"], envelope["createdAt"]) == (view.title, 0)
    found: dict = json.loads(envelope["state"])  # type: ignore[type-arg]
    return found


@pytest.mark.parametrize("view", [*views.ROWS, *views.LEADERBOARD], ids=lambda view: view.key)
def test_a_view_fits_into_a_tag_and_its_charts_have_a_place(view: views.View) -> None:
    found = state(view)
    charts = found["compareRunCharts"]
    assert len(view.tag()) < 20_000, "MLflow's limit of a tag"
    assert {chart["metricSectionId"] for chart in charts} == {found["compareRunSections"][0]["uuid"]}
    assert len({chart["uuid"] for chart in charts}) == len(charts) == len(view.charts) + len(view.scatter)
    assert {chart["type"] for chart in charts if "_curves/" in chart.get("metricKey", "")} <= {"LINE"}


def test_what_the_views_and_links_show_is_there(finished: Path) -> None:
    assert links("http://here") == {}
    (finished / "out/report").mkdir()
    (finished / "out/report/report.html").write_text("<html></html>")
    settings = yaml.safe_load((finished / "params.yaml").read_text())
    settings["rows"]["darts_1"] = {**settings["rows"]["darts"], "seed": 1}
    (finished / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    leave(finished, "retrain", "darts_1", {"top1": 79.5})
    rebuild(finished)
    client = MlflowClient(tracking_uri=uri())
    params = load_params(finished)
    for page, shown in ((views.rows_of(params), views.ROWS), (views.leaderboard_of(params), views.LEADERBOARD)):
        experiment = client.get_experiment_by_name(page.name)
        assert page.tags.items() <= experiment.tags.items()
        for view in shown:
            runs = client.search_runs([experiment.experiment_id], view.only)
            assert runs, view.title
            known = {name for run in runs for name in (*run.data.metrics, *run.data.params)}
            missing = {*view.columns, *view.charts, view.order} - known
            assert not missing - {"shift/r_top1", "shift/real_top1"}, "optional sets alone may be missing"
            assert all("mlflow.note.content" in run.data.tags for run in runs)

    runs = {run.info.run_name: run.data.tags for run in client.search_runs(["1"], "tags.stage = 'search'")}
    about = runs["search@digits-flatness-0"]["mlflow.note.content"]
    assert "genas run search@digits-flatness-0 --profile demo" in about
    assert "`data@digits`, `supernet@digits-0`" in about
    assert len({tags["mlflow.runColor"] for tags in runs.values()}) == len(runs) == 2

    found, mode = links("http://here"), "compareRunsMode=CHART&workflowType=machine_learning"
    searches = f"http://here/#/experiments/1/runs?viewStateShareKey=searches&{mode}"
    assert found["genas-demo: compare the searches"] == searches
    assert found["genas-demo-leaderboard: leaderboard"].startswith("http://here/#/experiments/2/runs?")
    assert found["genas-demo: report"].split("?")[0].endswith("/artifacts/report.html")
    assert list(found)[-1] == "registered models"

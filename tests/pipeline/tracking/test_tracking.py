"""Tracking against real SQLite databases: what is seen live can be rebuilt, and nothing it does can hurt a stage."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from genas.models.errors import GenasError
from genas.pipeline import context
from genas.pipeline.config import REPOSITORY, Params, load_params
from genas.pipeline.results import board as results
from genas.pipeline.results import records
from genas.pipeline.stages import Key
from genas.pipeline.stages.graph import graph, settings
from genas.pipeline.tracking import live, mlflow, views
from genas.pipeline.tracking.board import leaderboard, rebuild
from tests.pipeline.conftest import leave
from tests.pipeline.tracking.conftest import content, runs

# MLflow's log_table asks pandas for "object" columns, which newer pandas wants to be asked for by another name.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow.*")

SEARCH = {"dataset": "digits", "metric": "flatness", "seed": "0"}


def cut_off(root: Path, values: list[dict[str, float]], raised: BaseException) -> None:
    """A search that logs and then ends by an exception."""
    with live.follow("search", SEARCH, load_params(root), root) as log:
        for step, one in enumerate(values):
            log(step, one)
        raise raised


def replay(root: Path) -> None:
    """Go through a profile as its stages would: live values first, the row's files when it is done."""
    params = load_params(root)
    for (stage, row), node in graph(params).items():
        folder, hidden = root / "out" / stage / row, root / "hidden"
        if not folder.exists() or stage == "report":
            continue
        history = records.table(root, (stage, row), "history.csv")
        folder.rename(hidden)
        with live.follow(stage, node.axes, params, root) as log:
            for _, values in history.iterrows() if history is not None else ():
                log(int(values.iloc[0]), {str(name): float(value) for name, value in values.iloc[1:].items()})
            hidden.rename(folder)
    (root / "out" / "report").mkdir()
    with live.follow("report", {}, params, root):
        (root / "out" / "report" / "report.html").write_text("<html></html>")


@pytest.mark.slow
def test_rebuilt_is_what_was_live(finished: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay(finished)
    live, board = content(), content("genas-demo-leaderboard")
    assert len(live) == 18
    assert {status for status, *_ in live.values()} == {"FINISHED"}

    assert live["data@digits"][5] == ["manifest.json"], "data stay where they are"
    _, params, tags, history, sets, files = live["search@digits-flatness-0"]
    assert params["metric"] == "flatness"
    assert params["metric.terms.flatness"] == "1.0"
    assert params["metric.terms.angle"] == "0.0"
    assert params["search.population"] == "6"
    assert params["measures.flatness.sigma"] == "[0.001, 0.003, 0.006]"
    assert (tags["stage"], tags["row"], tags["profile"]) == ("search", "digits-flatness-0", "demo")
    assert json.loads(tags["axes"]) == SEARCH
    assert len(tags["fingerprint"]) == 16
    assert sets == [("digits", f"{'digits':0<36}")]
    assert tags["data.digits"] == f"{'digits':0<64}"
    assert {"candidates.json", "candidates.parquet", "genotype.json", "history.csv"} <= set(files)
    assert {"cell.png", "search.png", "candidates.png"} <= set(files), "drawn for the run, not by the stage"
    _, other, _, rated, *_ = live["rerank@digits-angle_flatness-0-16"]
    assert (other["search"], other["gamma"]) == ("digits-angle_flatness-0", "16")
    assert other["measures.flatness.alpha"] == "1.0"
    assert rated["rerank/flatness_share"] == [(0, 93.0)]
    assert live["agreement@digits-0"][3]["agreement/tau_flatness_loss"] == [(0, 0.875)]
    assert {"agreement.csv", "errors.csv", "agreement.png"} <= set(live["agreement@digits-0"][5])
    assert "detections.png" in live["detect@flatness"][5]
    assert {"curvature.png", "curve.csv"} <= set(live["curvature@flatness"][5])
    assert not list((finished / "out/search").rglob("*.png"))
    best = pd.read_csv(finished / "out/search/digits-flatness-0/history.csv")["best"]
    assert history["search_curves/best"] == list(enumerate(best))
    assert history["search/retrained_top1"] == [(0, 81.5)]
    assert board["flatness"][1]["metric"] == "flatness"
    assert board["flatness"][3]["detect/ap"] == [(0, 37.05)]
    assert board["flatness"][3]["search/score_normalised"] == history["search/score_normalised"]
    assert board["flatness"][4] == live["retrain@flatness"][4] == sets

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database / 'fresh.db'}")
    assert rebuild(finished) == 18
    assert content() == live
    assert content("genas-demo-leaderboard") == board


@pytest.mark.slow
def test_a_picture_that_cannot_be_drawn_fails_no_run(finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (finished / "out/search/digits-flatness-0/genotype.json").write_text("{}")
    with live.follow("search", SEARCH, load_params(finished), finished):
        pass
    (run,) = runs()
    status, _, _, history, _, files = content()["search@digits-flatness-0"]
    assert status == "FINISHED"
    assert history["search/score"] == [(0, run.data.metrics["search/score"])]
    assert "cell.png" not in files
    assert {"search.png", "candidates.png"} <= set(files), "the others are there"
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("warning: search@digits-flatness-0 has a picture that cannot be drawn: ")
    assert rebuild(finished) == 17


def test_a_page_has_the_pictures_beside_it(finished: Path) -> None:
    folder = finished / "out/laboratory/digits-darts"
    folder.mkdir(parents=True)
    (folder / "page.md").write_text("![](measures.png)")
    (folder / "measures.png").write_bytes(b"a picture")
    params, key = load_params(finished), ("laboratory", "digits-darts")
    assert key in records.finished(params, finished)
    attached = records.full(params, finished, key).files
    assert attached == [(folder / "page.md", ""), (folder / "measures.png", "")]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_without_its_database_nothing_is_lost(finished: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In processes of their own, as for a user: a process that has had the old file open goes on writing to that.
    line = f"print(rebuild(Path({str(finished)!r})))"
    code = f"from pathlib import Path; from genas.pipeline.tracking.board import rebuild; {line}"
    again = [sys.executable, "-c", code]
    assert subprocess.check_output(again, cwd=REPOSITORY, text=True) == "17\n"
    before, numbers = content(), results.collect(finished)
    moved = database.with_name("moved")
    shutil.move(database, moved)
    database.mkdir()
    assert results.collect(finished) == numbers
    assert subprocess.check_output(again, cwd=REPOSITORY, text=True) == "17\n"
    assert (database / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}/../{database.name}/mlflow.db")
    assert content() == before


@pytest.mark.usefixtures("undrawn")
def test_rebuilding_twice_changes_nothing(finished: Path) -> None:
    rebuild(finished)
    before, board = content(), {run.info.run_id for run in runs("genas-demo-leaderboard")}
    rebuild(finished)
    assert content() == before
    assert {run.info.run_id for run in runs("genas-demo-leaderboard")} == board, "unchanged lines stay"


@pytest.mark.usefixtures("undrawn")
def test_leaderboard_follows_the_files(finished: Path) -> None:
    assert leaderboard(finished) == 3
    path = finished / "out/retrain/darts/metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "top1": 60.0}))
    shutil.rmtree(finished / "out/retrain/angle-flatness")
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["rows"]["darts_1"] = {**params["rows"]["darts"], "seed": 1}
    (finished / "params.yaml").write_text(yaml.safe_dump(params))
    leave(finished, "retrain", "darts_1", {"top1": 61.0})
    assert leaderboard(finished) == 3
    board = content("genas-demo-leaderboard")
    assert set(board) == {"flatness", "darts", "darts_1"}
    assert board["darts"][3]["retrain/top1"] == [(0, 60.0)]
    for row in ("darts", "darts_1"):
        names = ("seeds/top1", "seeds/top1_deviation", "seeds/top1_n")
        assert [board[row][3][name][0][1] for name in names] == pytest.approx([60.5, 0.5**0.5, 2])
    assert "seeds/top1" not in board["flatness"][3]


@pytest.mark.usefixtures("undrawn")
def test_searches_of_all_metrics_have_the_same_names(finished: Path) -> None:
    rebuild(finished)
    searches = [run for run in runs() if run.data.tags["stage"] == "search"]
    assert len(searches) == 2
    assert searches[0].data.metrics.keys() == searches[1].data.metrics.keys()
    assert searches[0].data.params.keys() == searches[1].data.params.keys()
    for run in searches:  # the winner lies above the middle of its own candidates by some of their spread
        assert 0 < run.data.metrics["search/score_normalised"] < 10
        assert run.data.metrics["search/score_normalised"] == run.data.metrics["search_curves/best_normalised"]


@pytest.mark.parametrize(
    ("raised", "status"),
    [(SystemExit(143), "KILLED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "FAILED"), (ValueError(), "FAILED")],
)
def test_a_stage_that_ends_badly(profile: Path, raised: BaseException, status: str) -> None:
    with pytest.raises(type(raised)):
        cut_off(profile, [{"best": 1.5, "median": float("nan")}], raised)
    (run,) = runs()
    assert run.info.status == status
    assert run.data.metrics == {"search_curves/best": 1.5}


@pytest.mark.usefixtures("undrawn")
def test_a_killed_row_goes_on_in_its_run(finished: Path) -> None:
    params = load_params(finished)
    history = records.table(finished, ("search", "digits-flatness-0"), "history.csv")
    assert history is not None
    best = [float(value) for value in history["best"]]
    with pytest.raises(SystemExit):
        cut_off(finished, [{"best": value} for value in best[:2]], SystemExit(143))
    (killed,) = runs()
    with live.follow("search", SEARCH, params, finished) as log:
        for step in (1, 2, 3):  # generation 1 was not saved when the process was killed, so it is done again
            log(step, {"best": best[step]})
    (run,) = runs()
    assert (run.info.run_id, run.info.status) == (killed.info.run_id, "FINISHED")
    assert content()["search@digits-flatness-0"][3]["search_curves/best"] == list(enumerate(best))


def test_other_parameters_are_another_run(profile: Path) -> None:
    for population in (6, 7):
        text = (profile / "params.yaml").read_text().replace("population: 6", f"population: {population}")
        (profile / "params.yaml").write_text(text)
        with pytest.raises(SystemExit):
            cut_off(profile, [], SystemExit(143))
    assert [run.data.params["search.population"] for run in runs()] == ["7", "6"]


def test_a_killed_process_is_marked_when_its_row_starts_again(profile: Path) -> None:
    params = load_params(profile)
    stale = mlflow.Experiment(views.rows_of(params)).resume(
        records.head(params, profile, ("search", "digits-flatness-0"))
    )
    assert runs()[0].info.status == "RUNNING"
    with live.follow("search", SEARCH, params, profile):
        (profile / "out/search/digits-flatness-0").mkdir(parents=True)
    assert {run.info.run_id: run.info.status for run in runs()}[stale.id] == "KILLED"


def test_off_means_not_even_imported(profile: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from genas.pipeline.tracking import live
from genas.pipeline.config import load_params
from genas.pipeline.context import silent
root = Path({str(profile)!r})
with live.follow("search", {SEARCH!r}, load_params(root), root) as log:
    assert log is silent
assert "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, env={**os.environ, "GENAS_MLFLOW": "off"})


def test_only_the_first_process_of_several_tracks(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with live.follow("search", SEARCH, load_params(profile), profile) as log:
        assert log is context.silent


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "http://me:secret@127.0.0.1:9", "sqlite:////nowhere/at/all/mlflow.db"]
)
def test_no_server_is_one_line(
    finished: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    started = time.monotonic()
    with live.follow("search", SEARCH, load_params(finished), finished) as log:
        log(0, {"best": 1.0})
    assert time.monotonic() - started < 20
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    shown = uri.replace("me:secret", "***")
    assert lines[0].startswith(f"warning: MLflow at {shown} is left out: ")
    with pytest.raises(GenasError, match="MLflow at") as error:
        rebuild(finished)
    assert "secret" not in lines[0] + str(error.value)


def test_live_values_never_wait(profile: Path) -> None:
    with live.follow("search", SEARCH, load_params(profile), profile) as log:
        started = time.monotonic()
        for step in range(5000):
            log(step, {"best": float(step)})
        took = time.monotonic() - started
    assert took < 1.0
    client = MlflowClient(tracking_uri=mlflow.uri())
    assert len(client.get_metric_history(runs()[0].info.run_id, "search_curves/best")) == 5000


@pytest.mark.slow
def test_processes_that_start_at_once(finished: Path, database: Path) -> None:
    (database / "mlflow.db").unlink()  # all of them want to create it
    code = """
import json, sys
from pathlib import Path
from genas.pipeline.tracking import live
from genas.pipeline.config import load_params
stage, axes, root = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
with live.follow(stage, axes, load_params(root), root) as log:
    for step in range(200):
        log(step, {"best": float(step)})
"""
    rows = [("retrain", {"row": row}) for row in ("flatness", "angle-flatness", "darts")]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, stage, json.dumps(axes), str(finished)],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        for stage, axes in rows
    ]
    assert [process.communicate(timeout=120)[1] for process in started] == ["", "", ""]
    assert sorted(run.info.run_name for run in runs()) == [
        "retrain@angle-flatness",
        "retrain@darts",
        "retrain@flatness",
    ]
    assert {run.info.status for run in runs()} == {"FINISHED"}


@pytest.mark.slow
def test_sigterm_is_a_killed_run(profile: Path) -> None:
    code = """
import signal, sys, time
from pathlib import Path
from genas.pipeline.tracking import live
from genas.pipeline.config import load_params
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
root = Path(sys.argv[1])
axes = {"dataset": "digits", "metric": "flatness", "seed": "0"}
with live.follow("search", axes, load_params(root), root) as log:
    log(0, {"best": 1.0})
    print("ready", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(profile)], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while not (found := runs()) or not found[0].data.metrics:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    process.stdout.close()
    assert [(run.info.status, run.data.metrics) for run in runs()] == [("KILLED", {"search_curves/best": 1.0})]


def test_every_stage_has_its_parameters(profile: Path) -> None:
    params = load_params(profile)
    assert settings(params, ("detect", "darts"))["detect.overrides.SOLVER.MAX_ITER"] == "10"
    assert settings(params, ("retrain", "darts"))["row.cell"] == "zoo/darts_v2_c10"
    searched = settings(params, ("search", "digits-angle_flatness-0"))
    assert (searched["metric.terms.flatness"], searched["metric.terms.loss"]) == ("16.0", "0.0")
    assert (searched["metric.combine"], searched["metric.strategy"]) == ("sum", "evolution")
    agreed = settings(params, ("agreement", "digits-0"))
    assert agreed["agreement.error.replicates"] == "3"
    assert agreed["measures.flatness.sigma"] == "[0.001, 0.003, 0.006]", "it measures as searches do"


def test_a_row_of_another_gamma_has_its_axes_on_the_leaderboard(finished: Path) -> None:
    path = finished / "params.yaml"
    path.write_text(path.read_text().replace("zoo/darts_v2_c10", "rerank/digits-angle_flatness-0-16"))
    entry = results.entry(load_params(finished), finished, "darts")
    assert (entry.settings["search"], entry.settings["gamma"]) == ("digits-angle_flatness-0", "16")


def test_a_fingerprint_follows_everything_above_a_row(finished: Path) -> None:
    params = load_params(finished)
    changed = params.model_copy(
        update={"supernet": {"digits": params.supernet["digits"].model_copy(update={"epochs": 9})}}
    )
    path = finished / "out/data/digits/manifest.json"

    def prints(params: Params) -> dict[Key, str]:
        nodes = graph(params)
        return {key: records.fingerprint(params, finished, key, nodes) for key in nodes}

    before, after = prints(params), prints(changed)
    moved = {key for key in before if before[key] != after[key]}
    assert ("shift", "flatness") in moved
    assert ("supernet", "digits-0") in moved
    assert not moved & {("data", "digits"), ("zoo", "darts_v2_c10"), ("retrain", "darts"), ("detect", "darts")}
    path.write_text(path.read_text().replace("digits0", "digits1"))
    fresh = prints(params)
    assert {key for key in before if before[key] != fresh[key]} == set(before) - {
        ("data", "scenes"),
        ("measures", ""),
        ("zoo", "darts_v2_c10"),
        ("report", ""),
    }

"""Prefect drives DVC: in parallel, with retries, and leaving what bare ``dvc repro`` leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import networkx as nx
import pytest

from genas.flows import environment
from genas.flows.processes.children import Children, StageError, StoppedError
from genas.models.errors import GenasError
from genas.pipeline.config import REPOSITORY
from tests.flows.conftest import Toy, alive

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    from genas.flows import stage

    monkeypatch.setattr(stage, "POLICIES", {})
    monkeypatch.setattr(stage, "DEFAULT", stage.Policy(hours=1, retries=1, delay_seconds=0))


def reproduce(toy: Toy, *targets: str, jobs: int = 3) -> dict[str, str]:
    from genas.flows.reproduce import reproduce

    return reproduce(str(toy.folder), targets, jobs)


def test_three_at_once_with_a_failure_that_a_retry_mends(toy: Toy, finished: Toy) -> None:
    toy.fault("search@a-angle-0", "crash once")
    others = ["search@a-flatness-0", "search@b-flatness-0", "search@b-angle-0"]
    for stage in others:
        toy.fault(stage, f"meet {' '.join(others)}")  # each goes on when all three have begun
    ended = reproduce(toy)
    assert set(ended.values()) == {"done"}
    assert len(ended) == 7
    assert len(toy.runs("search@a-angle-0")) == 2
    assert "injected" in (toy.folder / ".scratch" / "logs" / "search@a-angle-0.log").read_text()
    # The same files as DVC alone leaves, and nothing that DVC would do again.
    assert toy.outputs() == finished.outputs()
    assert set(toy.dvc("status", "dvc.yaml").replace("\talways changed", "").split()) == {"data@a:", "data@b:"}
    toy.forget()
    toy.dvc("repro")
    assert set(toy.runs()) == {"data@a", "data@b"}
    toy.forget()
    assert reproduce(toy) == {}
    assert set(toy.runs()) == {"data@a", "data@b"}


def test_a_users_error_is_not_retried_and_stops_only_its_dependants(toy: Toy) -> None:
    toy.fault("supernet@a-0", "mistake")
    with pytest.raises(GenasError, match=r"^supernet@a-0: params\.yaml: sigma must increase; not run because of it: "):
        reproduce(toy)
    assert len(toy.runs("supernet@a-0")) == 1
    assert set(toy.runs("search")) == {"search@b-flatness-0", "search@b-angle-0"}
    assert not toy.runs("report")


def test_a_crash_is_retried_and_then_named(done: Toy) -> None:
    (done.folder / "raw" / "a.txt").write_text("more")
    done.fault("search@a-angle-0", "crash")
    with pytest.raises(StageError, match=r"^search@a-angle-0: RuntimeError: injected \(log: .*\); not run .*: report$"):
        reproduce(done)
    assert len(done.runs("search@a-angle-0")) == 2
    assert len(done.runs("search@a-flatness-0")) == 1


def test_what_has_run_before_is_restored(done: Toy) -> None:
    (done.folder / "out" / "search" / "a-angle-0" / "metrics.json").unlink()
    assert reproduce(done) == {"search@a-angle-0": "restored", "report": "unchanged"}
    assert not done.runs("search")


def test_a_stage_that_hangs_is_ended(done: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    from genas.flows import stage as module

    monkeypatch.setattr(module, "DEFAULT", module.Policy(hours=4 / 3600, retries=0))
    (done.folder / "raw" / "a.txt").write_text("more")
    done.fault("supernet@a-0", "hang")
    with pytest.raises(StageError, match="supernet@a-0: ran longer than 4 s"):
        reproduce(done, "supernet@a-0")
    assert not alive(done.folder)


def test_long_chains_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the hours that their stages may take."""
    from genas.flows import reproduce, stage

    limits = {name: stage.Policy(hours=hours) for name, hours in (("retrain", 30), ("segment", 14))}
    monkeypatch.setattr(stage, "POLICIES", limits)
    graph = nx.DiGraph([("zoo@z", "retrain@r"), ("retrain@r", "segment@r"), ("retrain@r", "shift@r")])
    other = stage.DEFAULT.hours
    assert reproduce.urgency(graph) == {"zoo@z": other + 44, "retrain@r": 44, "segment@r": 14, "shift@r": other}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_leaves_no_process(
    done: Toy, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    (done.folder / "raw" / "a.txt").write_text("more")
    done.fault("supernet@a-0", "hang")
    command = [sys.executable, "-m", "genas.flows.cli", "run", "supernet@a-0", "--profile", str(done.folder)]
    database = f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    surroundings = environment.of_children(PREFECT_SERVER_DATABASE_CONNECTION_URL=database)
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=surroundings, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 180
    while not done.runs("supernet@a-0") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(alive(tmp_path)) > 3  # the command, its server, dvc, the stage
    os.killpg(process.pid, number)  # as a terminal does on Ctrl-C
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert not alive(tmp_path)
    (done.folder / "faults" / "supernet@a-0").unlink()
    assert done.dvc("repro", "supernet@a-0")  # no lock is left behind


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_process_and_a_true_history(done: Toy, tmp_path: Path) -> None:
    (done.folder / "raw" / "a.txt").write_text("more")
    done.fault("supernet@a-0", "hang")
    command = [sys.executable, "-m", "genas.flows.cli", "run", "supernet@a-0", "--profile", str(done.folder)]
    database = tmp_path / "prefect.db"
    url = f"sqlite+aiosqlite:///{database}"
    surroundings = environment.of_children(PREFECT_SERVER_DATABASE_CONNECTION_URL=url)
    process = subprocess.Popen(command, cwd=REPOSITORY, env=surroundings, stderr=subprocess.DEVNULL)
    wait_for(lambda: done.runs("supernet@a-0"), 180)
    assert len(alive(tmp_path)) > 3  # the command, its server, dvc, the stage
    lock = json.loads((done.folder / ".scratch" / "run.lock").read_text())
    assert (lock["pid"], lock["stages"]) == (process.pid, ["supernet@a-0"])
    process.kill()
    process.wait()
    wait_for(lambda: not alive(tmp_path), 20)
    assert states(database, "flow_run") == ["RUNNING"]
    (done.folder / "faults" / "supernet@a-0").unlink()
    subprocess.run(command, cwd=REPOSITORY, env=surroundings, check=True, capture_output=True)
    assert states(database, "flow_run") == ["CRASHED", "COMPLETED"]
    ended = states(database, "task_run")
    assert "CRASHED" in ended
    assert set(ended) <= {"CRASHED", "COMPLETED"}


def wait_for(what: Callable[[], object], seconds: float) -> None:
    """Until ``what`` is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def states(database: Path, table: str) -> list[str]:
    """In which state each ``flow_run`` or ``task_run`` of a Prefect database is, in the order of their beginning."""
    with closing(sqlite3.connect(database)) as connection:
        return [state for (state,) in connection.execute(f"select state_type from {table} order by created")]


def test_children_that_ignore_the_first_signal_are_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    children = Children(grace=0.2)

    def told(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        children.run([sys.executable, "-c", stubborn], tmp_path, os.environ, told)
    assert not alive(tmp_path)
    children.stop()
    with pytest.raises(StoppedError):
        children.run(["true"], tmp_path, os.environ, told)

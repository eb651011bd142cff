"""One process that tracks a whole run: the same runs, rows without MLflow, and nothing lost when either is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genas.pipeline.config import REPOSITORY, load_params
from genas.pipeline.tracking import live
from genas.pipeline.tracking.told import ADDRESS
from tests.pipeline.tracking.conftest import content, runs

pytestmark = [
    # MLflow's log_table asks pandas for "object" columns, which newer pandas wants to be asked for by another name.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow.*"),
    pytest.mark.usefixtures("undrawn"),
]
SEARCH = {"dataset": "digits", "metric": "flatness", "seed": "0"}
ROW = """
import sys, time
from pathlib import Path
from genas.pipeline.config import load_params
from genas.pipeline.tracking.live import follow
root, hangs = Path(sys.argv[1]), len(sys.argv) > 2
with follow("search", {"dataset": "digits", "metric": "flatness", "seed": "0"}, load_params(root), root) as log:
    for step in range(3):
        log(step, {"extra": step / 2, "nothing": float("nan")})
    if hangs:
        print("told", flush=True)
        time.sleep(600)
assert "mlflow" not in sys.modules and "pandas" not in sys.modules
"""


@pytest.fixture
def tracker(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A tracker of its own, whose socket the environment names."""
    address = tmp_path / "socket"
    command = [sys.executable, "-m", "genas.pipeline.tracking", str(address)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE) as process:
        while not address.exists():
            assert process.poll() is None
            time.sleep(0.05)
        monkeypatch.setenv(ADDRESS, str(address))
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.mark.slow
def test_a_row_that_tells_a_tracker_leaves_the_same_run(
    finished: Path, tracker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    command, surroundings = [sys.executable, "-c", ROW, str(finished)], {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, check=True, cwd=REPOSITORY, env=surroundings)
    told = content()["search@digits-flatness-0"]
    assert told[0] == "FINISHED"
    assert told[3]["search_curves/extra"] == [(0, 0.0), (1, 0.5), (2, 1.0)]

    monkeypatch.delenv(ADDRESS)
    (first,) = runs()
    with live.follow("search", SEARCH, load_params(finished), finished) as log:
        for step in range(3):
            log(step, {"extra": step / 2, "nothing": float("nan")})
    (by_itself,) = [run for run in runs() if run.info.run_id != first.info.run_id]
    assert by_itself.data.metrics == first.data.metrics
    assert by_itself.data.params == first.data.params
    assert by_itself.data.tags == first.data.tags

    hanging = [*command, "hangs"]
    with subprocess.Popen(hanging, cwd=REPOSITORY, env=surroundings, stdout=subprocess.PIPE) as row:
        assert row.stdout is not None
        row.stdout.readline()
        row.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while "KILLED" not in [run.info.status for run in runs()]:
        assert time.monotonic() < deadline, "a row that is gone is marked at once"
        time.sleep(0.1)
    (killed,) = [run for run in runs() if run.info.status == "KILLED"]
    assert killed.data.metrics == {"search_curves/extra": 1.0}


def test_a_row_whose_tracker_is_killed_tracks_itself(finished: Path, tracker: subprocess.Popen[bytes]) -> None:
    with live.follow("search", SEARCH, load_params(finished), finished) as log:
        log(0, {"extra": 1.0})
        tracker.kill()
        tracker.wait()
        log(1, {"extra": 2.0})
    (run,) = runs()
    status, _, _, history, *_ = content()["search@digits-flatness-0"]
    assert (run.info.status, status) == ("FINISHED", "FINISHED")
    assert len(history["search_curves/best"]) == 4, "what the row left has all that it told"


def test_an_address_where_nobody_listens_is_as_good_as_none(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, str(tmp_path / "nowhere"))
    with live.follow("search", SEARCH, load_params(finished), finished):
        pass
    assert runs()[0].info.status == "FINISHED"

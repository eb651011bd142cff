"""The standing service: schedules and events make real runs. Loose bounds upstream have broken this twice."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from genas.flows import environment
from genas.pipeline.config import REPOSITORY
from tests.flows.conftest import Toy, alive

pytestmark = [
    # DVC 3.67 reads a property that pygtrie is going to remove.
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
]


def test_prefects_server_can_be_made() -> None:
    from prefect.server.api.server import create_app

    assert create_app(ephemeral=True).routes


def test_every_named_flow_is_deployed_and_only_the_refresh_by_itself(toy: Toy) -> None:
    from genas.flows.service.deployments import EVENT, deployments
    from genas.flows.version import VERSION

    ready = deployments(str(toy.folder), 1, "0 3 * * *")
    names = ["supernet", "search", "laboratory", "retrain", "shift", "detect", "segment", "paper", "refresh"]
    assert [one.flow_name for one in ready] == names
    assert [one.name for one in ready] == [f"{name}-demo" for name in names], "told apart wherever they are listed"
    assert [one.tags for one in ready] == [["genas", "profile:demo", f"phase:{name}"] for name in names]
    assert ready[3].description.startswith("Train every found and every published cell on its own.\n")
    assert "- Retraining: " in ready[3].description
    assert {one.version for one in ready} == {VERSION}
    assert [bool(one.schedules) for one in ready] == [name == "refresh" for name in names]
    assert [trigger.expect for trigger in ready[-1].triggers] == [{EVENT}]  # type: ignore[union-attr]


def test_the_deployment_file_names_the_same_flows() -> None:
    import importlib

    from genas.flows.phases import PHASES
    from genas.flows.service.refresh import refresh

    written = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    found = []
    for deployment in written:
        path, name = deployment["entrypoint"].split(":")
        found.append(getattr(importlib.import_module("genas." + path.removesuffix(".py").replace("/", ".")), name))
        assert deployment["name"] == f"{name}-paper"
        assert deployment["tags"] == ["genas", "profile:paper", f"phase:{name}"]
        assert (deployment["work_pool"], deployment["parameters"]["profile"]) == ({"name": "genas"}, "paper")
    assert found == [*PHASES, refresh]


def runs(port: int) -> list[dict[str, Any]]:
    """The flow runs that the server on ``port`` knows."""
    return httpx.post(f"http://127.0.0.1:{port}/api/flow_runs/filter", json={}, timeout=30).json()


def completed(port: int, scheduled: bool, seconds: float) -> dict[str, Any]:
    """The first completed run of one kind, waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            for run in runs(port):
                if run["state_type"] == "COMPLETED" and run["auto_scheduled"] == scheduled:
                    return run
        except httpx.TransportError:
            pass  # the server is not up yet
        time.sleep(1)
    raise AssertionError(f"no such run within {seconds} s")


@pytest.mark.slow
def test_a_schedule_and_an_event_each_make_a_run(done: Toy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    surroundings = environment.of_children(
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}",
        PREFECT_HOME=str(tmp_path / "home"),
    )
    (done.folder / "raw" / "a.txt").write_text("more")
    genas, where = [sys.executable, "-m", "genas.flows.cli"], ["--profile", str(done.folder), "--port", str(port)]
    with (tmp_path / "serve.log").open("w") as log:
        serving = subprocess.Popen(
            [*genas, "serve", "--cron", "* * * * *", *where], cwd=REPOSITORY, env=surroundings, stdout=log, stderr=log
        )
    try:
        assert completed(port, scheduled=True, seconds=300)["name"] == f"refresh-{done.folder}"
        assert set(done.runs("search")) == {"search@a-angle-0", "search@a-flatness-0"}
        done.forget()
        said = subprocess.run(
            [*genas, "data", "changed", "digits", *where], cwd=REPOSITORY, env=surroundings, check=True, text=True
        )
        assert said.returncode == 0
        completed(port, scheduled=False, seconds=180)
        assert done.runs("data")
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(timeout=120)
    assert not alive(tmp_path)

"""A run whose stages another clone runs: no disk is shared but DVC's remote and what Prefect's server knows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from genas.flows import environment
from genas.pipeline.scaffold.shared import share
from tests.clones import commit, copied
from tests.flows.conftest import alive
from tests.test_chain import params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TARGET = "search@digits-flatness-0"
SENT = ("supernet@digits-0", TARGET)


class Clone:
    """A clone of this project with a tiny profile, and commands in it."""

    def __init__(self, root: Path, **surroundings: str) -> None:
        self.root = root
        self.profile = root / "profiles" / "tiny"
        more = {"PYTHONPATH": str(root), "PREFECT_HOME": str(root / ".genas"), "GENAS_MLFLOW": "off", **surroundings}
        self.environment = environment.of_children(**more)

    def call(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, or in its profile."""
        where = folder or self.root
        return subprocess.run(command, cwd=where, env=self.environment, capture_output=True, text=True, check=False)

    def genas(self, *arguments: str, **surroundings: str) -> subprocess.CompletedProcess[str]:
        """Run ``genas`` with the clone's own code."""
        command = [sys.executable, "-m", "genas.flows.cli", *arguments]
        environment = {**self.environment, **surroundings}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def run(self, **surroundings: str) -> subprocess.CompletedProcess[str]:
        """Bring the target up to date."""
        return self.genas("run", TARGET, "--profile", "profiles/tiny", **surroundings)

    def dvc(self, *arguments: str) -> str:
        """What DVC answers in the profile."""
        said = self.call(sys.executable, "-m", "dvc", *arguments, folder=self.profile)
        assert said.returncode == 0, said.stderr
        return said.stdout

    def digests(self) -> dict[str, str]:
        """The digest of every output in the profile's lock but the times that stages took."""
        stages = yaml.safe_load((self.profile / "dvc.lock").read_text())["stages"]
        outs = [out for entry in stages.values() for out in entry["outs"]]
        return {out["path"]: out["md5"] for out in outs if not out["path"].endswith("timing.json")}


def committed(root: Path) -> Path:
    """A repository of its own with a tiny profile."""
    copied(root)
    profile = root / "profiles" / "tiny"
    profile.mkdir()
    share(profile)
    (profile / "params.yaml").write_text(yaml.safe_dump(params() | {"code": "code"}))
    commit(root)
    return root


def until(condition: Any, seconds: float) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A Prefect server of its own; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, database = f"http://127.0.0.1:{port}/api", f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    surroundings = environment.of_children(PREFECT_SERVER_DATABASE_CONNECTION_URL=database)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log, start_new_session=True)

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        until(answers, 180)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def test_another_clone_runs_the_stages(tmp_path: Path, server: str) -> None:
    """And what it made is what this machine would have made; a worker with other parameters refuses."""
    pool = {"PREFECT_API_URL": server, "GENAS_POOL": "tiny"}
    origin = committed(tmp_path / "origin")
    for name in ("coordinator", "worker"):
        subprocess.run(["git", "clone", "-q", origin, tmp_path / name], check=True)
    alone = Clone(origin)
    coordinator = Clone(tmp_path / "coordinator", **pool)
    worker = Clone(tmp_path / "worker", PREFECT_API_URL=server)

    said = coordinator.run(PREFECT_API_URL="")
    assert said.stderr.splitlines()[-1].startswith("error: GENAS_POOL=tiny needs PREFECT_API_URL")
    said = coordinator.run()
    assert said.stderr.splitlines()[-1].startswith("error: no DVC remote, ")
    for clone in (coordinator, worker):
        clone.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    said = coordinator.run()
    assert said.stderr.splitlines()[-1] == (
        "error: GENAS_POOL: no work pool 'tiny', start a worker with genas worker tiny"
    )

    with (tmp_path / "worker.log").open("w") as log:
        command = [sys.executable, "-m", "genas.flows.cli", "worker", "tiny"]
        working = subprocess.Popen(command, cwd=worker.root, env=worker.environment, stdout=log, stderr=log)
    try:
        workers = f"{server}/work_pools/tiny/workers/filter"
        until(lambda: httpx.post(workers, json={}, timeout=30).text.count("ONLINE"), 120)

        settings = worker.profile / "params.yaml"
        right = settings.read_text()
        settings.write_text(right.replace("generations: 3", "generations: 2"))
        said = coordinator.run()
        assert said.returncode == 2
        last = said.stderr.splitlines()[-1]
        assert last.startswith("error: supernet@digits-0: the profile's params.yaml differs from the coordinator's ")
        assert "Traceback" not in said.stderr
        settings.write_text(right)

        said = coordinator.run()
        assert (said.returncode, said.stdout.splitlines()[0]) == (0, "tiny: 2 done"), said.stderr
        for stage in SENT:
            assert "> python -m genas.pipeline" in (worker.profile / ".scratch" / "logs" / f"{stage}.log").read_text()
            assert (
                "> python -m genas.pipeline" in (coordinator.profile / ".scratch" / "logs" / f"{stage}.log").read_text()
            )
        assert not [one for one in (coordinator.profile / ".scratch").iterdir() if one.name not in ("logs", "run.lock")]
        assert "everything is up to date" in coordinator.run().stdout
        assert alone.run(PREFECT_API_URL="", GENAS_POOL="").returncode == 0
        assert coordinator.digests() == alone.digests()
    finally:
        working.send_signal(signal.SIGTERM)
        working.wait(timeout=60)
    assert not alive(worker.root)

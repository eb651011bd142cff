"""The processes beside a run: named to the rows while it lasts, gone afterwards; rows that are forked from one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from genas.flows import environment
from genas.flows.processes.beside import ENOUGH, beside, preloaded
from genas.pipeline.machine.forked import ADDRESS


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def test_it_ends_with_the_block_whose_rows_it_is_named_to(tmp_path: Path) -> None:
    before = children()
    with beside(tmp_path, "lines", ["json.tool", "--json-lines", "-"], "BESIDE", True):  # reads to the end of its input
        folder = Path(os.environ["BESIDE"]).parent
        assert folder.is_dir()
        assert len(children() - before) == 1
    assert "BESIDE" not in os.environ
    assert not folder.exists()
    assert children() == before


@pytest.mark.parametrize(("variable", "value"), [("GENAS_PRELOADED", "off"), ("GENAS_POOL", "gpus"), ("", "")])
def test_nothing_is_preloaded_where_it_does_not_pay(
    tmp_path: Path, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    if variable:
        monkeypatch.setenv(variable, value)
    before = children()
    with preloaded(tmp_path, ENOUGH if variable else ENOUGH - 1):
        assert os.environ.get(ADDRESS, "off") == "off"
        assert children() == before


@pytest.mark.slow
def test_a_row_of_the_pipeline_is_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells a user's error as it does by itself; while the process that forks is stopped, it waits."""
    monkeypatch.delenv(ADDRESS, raising=False)
    command = [sys.executable, "-m", "genas.pipeline", "nothing"]

    def told(seconds: float = 60) -> tuple[int, str]:
        surroundings = environment.of_children()
        done = subprocess.run(
            command, env=surroundings, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=seconds
        )
        return done.returncode, done.stderr

    alone, before = told(), children()
    with preloaded(tmp_path, ENOUGH):
        (server,) = children() - before
        while not Path(os.environ[ADDRESS]).exists():
            assert server.is_running()
            time.sleep(0.1)
        server.suspend()
        with pytest.raises(subprocess.TimeoutExpired):
            told(5)
        server.resume()
        assert told() == alone
    assert alone[0] == 2
    assert alone[1].startswith("error: unknown stage")
    assert not server.is_running()

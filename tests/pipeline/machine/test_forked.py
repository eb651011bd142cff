"""Rows as forks of one process: as if each had been started by itself, however it, its caller or that process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from genas.pipeline.machine.forked import ADDRESS, hand_over

SERVER = """
import sys
from pathlib import Path
from genas.pipeline.machine.forked import serve
seen = 0
if serve(Path(sys.argv[1])):
    exec(sys.argv[1])
"""
"""Forks that run the text which they are given."""
CLIENT = "import sys; from genas.pipeline.machine.forked import hand_over; sys.exit(hand_over(sys.argv[1:]))"
WAIT = "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"
WAIT += "print(os.getpid(), flush=True); time.sleep(60)"
ENDING = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    with started(tmp_path_factory.mktemp("server")) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(ENDING) == 0


def started(folder: Path) -> subprocess.Popen[bytes]:
    """A server whose socket is there."""
    address = folder / "socket"
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(address)], stdin=subprocess.PIPE)
    while not address.exists():
        assert process.poll() is None
    process.args = str(address)
    return process


def handed(server: subprocess.Popen[bytes], code: str, **options: object) -> subprocess.Popen[str]:
    """Whoever hands ``code`` over."""
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, code],
        env={**os.environ, ADDRESS: str(server.args), "COLOUR": "teal"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def test_a_fork_has_what_its_caller_has(server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['COLOUR'], input()); print(len(sys.argv), file=sys.stderr);"
    process = handed(server, code + "sys.exit(3)", cwd=tmp_path)
    assert process.communicate("typed\n") == (f"{tmp_path} teal typed\n", "2\n")
    assert process.returncode == 3


def test_forks_share_nothing(server: subprocess.Popen[bytes]) -> None:
    code = "import random; seen += 1; print(seen, random.random())"
    said = [process.communicate()[0].split() for process in [handed(server, code) for _ in range(3)]]
    assert [seen for seen, _ in said] == ["1"] * 3
    assert len({drawn for _, drawn in said}) == 3


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_fork_ends_with_its_caller(server: subprocess.Popen[bytes], number: signal.Signals, status: int) -> None:
    process = handed(server, WAIT)
    assert process.stdout is not None
    fork = psutil.Process(int(process.stdout.readline()))
    process.send_signal(number)
    assert process.wait(ENDING) == status
    assert process.communicate() == ("", ""), "the last that held the streams has closed them"
    psutil.wait_procs([fork], ENDING)
    assert not fork.is_running()


def test_a_caller_ends_as_its_fork_does(server: subprocess.Popen[bytes]) -> None:
    process = handed(server, "import os; os.kill(os.getpid(), 9)")
    assert process.wait(ENDING) == -signal.SIGKILL
    process.communicate()


def test_without_a_server_a_row_runs_by_itself(
    server: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    assert hand_over([]) is None
    for nobody in (str(tmp_path / "none"), "off"):
        monkeypatch.setenv(ADDRESS, nobody)
        assert hand_over([]) is None
    monkeypatch.setenv(ADDRESS, str(server.args))
    monkeypatch.setenv("RANK", "1")
    assert hand_over([]) is None


def test_a_server_that_is_killed_fails_its_rows(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        process = handed(server, WAIT)
        assert process.stdout is not None
        fork = psutil.Process(int(process.stdout.readline()))
        server.kill()
        assert process.communicate() == ("", "error: the process that rows are forked from has ended\n")
        assert process.returncode == 1
        psutil.wait_procs([fork], ENDING)
        assert not fork.is_running()


def test_a_server_ends_after_its_last_fork(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        process = handed(server, "print('begun', flush=True); print(input())")
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert server.stdin is not None
        server.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.2)
        assert process.communicate("done\n") == ("done\n", "")
        assert server.wait(ENDING) == 0

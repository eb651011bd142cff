"""A guarded command: its status, its signals, and its end with the process that started the guard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genas.flows.processes.guard import guarded
from tests.flows.conftest import alive


@pytest.mark.parametrize(
    ("code", "status"),
    [("print('said')", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_the_status_is_the_commands(code: str, status: int) -> None:
    done = subprocess.run(guarded([sys.executable, "-c", code]), capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout == ("said\n" if status == 0 else "")


def test_a_signal_to_the_group_ends_the_command_in_its_own_way(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(7))); "
        "print('ready', flush=True); time.sleep(600)"
    )
    command = guarded([sys.executable, "-c", code])
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "ready\n"
        os.killpg(guard.pid, signal.SIGTERM)
        assert guard.wait(20) == 7
    assert not alive(tmp_path)


def test_when_the_parent_is_killed_everything_ends(tmp_path: Path) -> None:
    """The command and what it started."""
    inner = f"import subprocess; print('ready', flush=True); subprocess.run([{sys.executable!r}, '-c', {SLEEP!r}])"
    parent_code = (
        "import subprocess, sys; from genas.flows.processes.guard import guarded; "
        f"subprocess.run(guarded([sys.executable, '-c', {inner!r}]), cwd={str(tmp_path)!r}, start_new_session=True)"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 20
        while len(alive(tmp_path)) < 3:  # the guard, the command, what it started
            assert time.monotonic() < deadline
            time.sleep(0.05)
        parent.kill()
        while alive(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)


SLEEP = "import time; time.sleep(600)"

"""Calls the entry points as a user would, each in a forked child of this process, which has imported what is heavy."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from genas.flows import environment
from genas.pipeline.config import REPOSITORY

LONGEST = 300.0
"""Seconds that a call may take."""


def _genas() -> int:
    from genas.flows.cli import main

    return main()


def _pipeline() -> int:
    from genas.pipeline.__main__ import main

    return main()


PROGRAMS: dict[str, Callable[[], int]] = {"genas": _genas, "pipeline": _pipeline}
MODULES = {"genas": "genas.flows.cli", "pipeline": "genas.pipeline"}
"""What ``python -m`` runs for a program."""


def preload() -> None:
    """Import what most calls need; nothing that reads the environment while it is imported (Prefect, MLflow)."""
    import detectron2.engine  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import mmseg.apis  # noqa: F401
    import torch

    import genas.pipeline.laboratory.stage
    import genas.pipeline.transfer.detect.stage
    import genas.pipeline.transfer.segment.stage
    import genas.pipeline.transfer.shift  # noqa: F401

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Call:
    """A program, its arguments, the folder in which it is run, and its environment; the bytes of the largest file that
    it may write, if there is a limit."""

    program: str
    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    largest: int | None = None

    @classmethod
    def of(cls, line: str, folder: Path, **more: str) -> Call:
        """A call as it is typed: ``pipeline data dataset=mine``; quiet, on the CPU, without tracking unless ``more``
        says otherwise."""
        program, *arguments = shlex.split(line)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GENAS_", "MLFLOW_", "PREF"))}
        plain = {"OMP_NUM_THREADS": "1", "GENAS_DEVICE": "cpu", "GENAS_MLFLOW": "off", "PYTHONPATH": str(REPOSITORY)}
        bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        surroundings = {**environment.QUIET, **kept, **plain, "PATH": bin_first, **more}
        return cls(program, tuple(arguments), folder, surroundings)

    @property
    def command(self) -> list[str]:
        """The call as a process of its own."""
        return [sys.executable, "-m", MODULES[self.program], *self.arguments]


@dataclass(frozen=True)
class Ended:
    """How a call ended; the status is None where its time was up."""

    status: int | None
    out: str
    err: str


class Forked:
    """A call in a forked child, which leads a session of its own; offers what is needed here of a ``Popen``."""

    def __init__(self, call: Call, out: Path | str = os.devnull, err: Path | str = os.devnull) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(become(call, str(out), str(err)))

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative where a signal ended it.

        Raises:
            TimeoutExpired: it has not ended yet.
        """
        deadline = time.monotonic() + (timeout if timeout is not None else LONGEST * 10)
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked call", timeout or 0)
            else:
                time.sleep(0.003)
        return self.status

    def kill(self) -> None:
        """SIGKILL; what it started is left to itself."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)


def become(call: Call, out: str, err: str) -> int:
    """Become the call, in a child: its session, folder, environment, arguments and files; returns the exit status."""
    os.setsid()
    for number, name in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(name, (os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if number else os.O_RDONLY), number)
    sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115  # not what a test may have put in their place
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environment)
    if call.largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (call.largest, call.largest))
    sys.argv = [call.program, *call.arguments]
    try:
        status: object = PROGRAMS[call.program]()
    except SystemExit as leaving:
        status = leaving.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status or 0) & 255  # type: ignore[call-overload]


def run(call: Call, scrap: Path) -> Ended:
    """Run a call in a forked child, its output kept in the folder ``scrap``."""
    out, err = scrap / "stdout", scrap / "stderr"
    child = Forked(call, out, err)
    try:
        status: int | None = child.wait(LONGEST)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        status = None
    return Ended(status, out.read_text(errors="replace"), err.read_text(errors="replace"))


def run_apart(call: Call) -> Ended:
    """Run a call as a process of its own, nothing imported before."""
    try:
        done = subprocess.run(
            call.command, cwd=call.folder, env=call.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=LONGEST, check=False, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ended(None, "", "")
    return Ended(done.returncode, done.stdout, done.stderr)

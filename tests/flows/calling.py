"""The command line as a user calls it, in a process that a preloaded one forks: it need not import what is heavy."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from genas.flows import environment
from genas.pipeline.config import REPOSITORY
from tests.faults.running import Call, become

PRELOADED = [
    "torch",
    "timm",
    "pandas",
    "networkx",
    "dvc.repo",
    "genas.flows.cli",
    "genas.flows.plan",
    "genas.pipeline.stages",
]
"""Nothing that reads the environment while it is imported (Prefect, MLflow)."""


@cache
def server() -> ForkServerContext:
    """What forks: a process of its own, since this one may have threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _called(call: Call, out: str, err: str) -> None:
    os._exit(become(call, out, err))


def genas(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """``genas`` with its arguments, in the repository; ``more`` are variables of its environment."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        call = Call("genas", arguments, REPOSITORY, environment.of_children(**more))
        process = server().Process(target=_called, args=(call, str(out), str(err)))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(["genas", *arguments], process.exitcode, out.read_text(), err.read_text())

"""Processes that stand beside a run, for as long as it lasts: one that tracks its rows, one that they are forked from.

A row finds each by an environment variable that names its socket; without it, or where nobody answers, the row does
the same by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genas.flows import environment
from genas.flows.plan import log_file
from genas.pipeline.machine import forked
from genas.pipeline.tracking import told
from genas.pipeline.tracking.mlflow import enabled

GRACE = 30.0
"""Seconds that one may take for what is still to be written."""
ENOUGH = 3
"""Rows for which it pays to import once what nearly each of them would import."""


@contextmanager
def tracking(folder: Path) -> Iterator[None]:
    """Track the rows of the profile in ``folder`` in one process (:mod:`genas.pipeline.tracking.tracker`) while the
    block runs; with ``GENAS_MLFLOW=off`` nobody does, and in a work pool they run elsewhere."""
    with beside(folder, "tracking", ["genas.pipeline.tracking"], told.ADDRESS, enabled()):
        yield


@contextmanager
def preloaded(folder: Path, rows: int) -> Iterator[None]:
    """Fork the rows of the profile in ``folder`` from one process (:mod:`genas.pipeline.machine.forked`) while the
    block runs. The first ones do not wait for it; few rows, or ``GENAS_PRELOADED=off``, and nobody does."""
    wanted = rows >= ENOUGH and forked.enabled()
    with beside(folder, "preloaded", ["genas.pipeline", "--preloaded"], forked.ADDRESS, wanted):
        yield


@contextmanager
def beside(folder: Path, name: str, module: Sequence[str], variable: str, wanted: bool) -> Iterator[None]:
    """Run a module with a socket's address behind its arguments, which ``variable`` then names, while the block runs;
    it ends when its standard input does. Nothing where it is not ``wanted``, or the rows run in a work pool."""
    if not wanted or environment.pool():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="genas-") as place, log_file(folder, name).open("w") as log:
        address = Path(place) / "socket"
        process = subprocess.Popen(
            [sys.executable, "-m", *module, str(address)],
            cwd=folder,
            env=environment.of_children(),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        os.environ[variable] = str(address)  # for the stages, whose environment is this process's
        try:
            yield
        finally:
            del os.environ[variable]
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Let it write what it was told, then end it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

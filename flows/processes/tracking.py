"""The process that tracks the rows of a run (:mod:`genas.pipeline.tracking.tracker`), for as long as the run lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genas.flows import environment
from genas.flows.plan import log_file
from genas.pipeline.tracking.mlflow import enabled
from genas.pipeline.tracking.told import ADDRESS

GRACE = 30.0
"""Seconds that it may take for what is still to be written."""


@contextmanager
def tracking(folder: Path) -> Iterator[None]:
    """Track the rows of the profile in ``folder`` in one process while the block runs; without it each tracks itself,
    with ``GENAS_MLFLOW=off`` none does, and in a work pool they run elsewhere."""
    if not enabled() or environment.pool():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="genas-") as place, log_file(folder, "tracking").open("w") as log:
        address = Path(place) / "socket"
        process = subprocess.Popen(
            [sys.executable, "-m", "genas.pipeline.tracking", str(address)],
            cwd=folder,
            env=environment.of_children(),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        os.environ[ADDRESS] = str(address)  # for the stages, whose environment is this process's
        try:
            yield
        finally:
            del os.environ[ADDRESS]
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

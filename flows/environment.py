"""Every environment variable that the command line and its children run with, in one place.

All are defaults: what the user has set wins. None of them changes a result.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from genas.pipeline.config import CHECKOUT, REPOSITORY

STATE = REPOSITORY / ".genas"
"""Prefect's own database lies here, ignored by git; deleting it loses history and nothing else."""

QUIET = {
    "DO_NOT_TRACK": "true",  # Prefect accepts the word only
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "HF_HUB_OFFLINE": "1",
}
"""No telemetry, no network."""

PREFECT = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # the default of 20 is too short on a busy machine
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    # What a killed run has held (flows/service/gpus.py) is then known to the next server, too.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{STATE / 'prefect.db'}",
}
"""For :mod:`genas.flows.service.server`, used unless ``PREFECT_API_URL`` or a Prefect profile names a server."""

CONSOLE = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
"""The command line prints its own progress; Prefect's log lines go to its server and to the log files."""


def apply(table: Mapping[str, str]) -> None:
    """Set what is not set."""
    for name, value in table.items():
        os.environ.setdefault(name, value)


def pool() -> str | None:
    """``GENAS_POOL``: the Prefect work pool in which stages run, on machines that have a clone of their own."""
    return os.environ.get("GENAS_POOL") or None


def for_prefect(console: bool) -> None:
    """Make ready for Prefect, which reads its settings when it is first imported: this comes before that.

    Args:
        console: whether Prefect's own log lines go to the terminal.
    """
    apply(PREFECT if console else PREFECT | CONSOLE)
    STATE.mkdir(exist_ok=True)


def of_children(**more: str) -> dict[str, str]:
    """The environment of a child process: this interpreter's folder first on PATH, one thread, quiet."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    home = {} if CHECKOUT else {"GENAS_HOME": str(REPOSITORY)}
    defaults = {**QUIET, **home, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return {**defaults, **os.environ, "PATH": path, **more}

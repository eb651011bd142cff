"""A row that has a tracker (:mod:`genas.pipeline.tracking.tracker`) hands everything over to it, and needs no MLflow
itself.

It finds the tracker by ``GENAS_TRACKER``, and sends lines of JSON over that Unix socket: first who it is, then its live
values, at last how it ended. It then waits for one line, so its files are in their place while they are read. A row
without a tracker, or whose tracker is gone, tracks itself.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genas.pipeline.stages import Key

ADDRESS = "GENAS_TRACKER"
"""The environment variable that names the socket."""

SEND_SECONDS = 10.0
"""How long a row tries to hand something over before it goes on without the tracker."""

CLOSE_SECONDS = {"FINISHED": 120.0, "FAILED": 20.0, "KILLED": 20.0}
"""How long a stage that is done waits for the tracking server, by how it ended."""


def surroundings() -> dict[str, str]:
    """Tags that say who started a row, which only its own process knows."""
    found = {"dvc_exp": os.environ.get("DVC_EXP_NAME", ""), "prefect_run": os.environ.get("GENAS_PREFECT_RUN", "")}
    return {name: value for name, value in found.items() if value}


class Told:
    """The log of a running stage, which hands everything to the tracker."""

    def __init__(self, address: str, root: Path, key: Key) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.settimeout(SEND_SECONDS)
        try:
            self._connection.connect(address)
        except OSError:
            self._connection.close()
            raise
        self._send({"root": str(root.resolve()), "key": key, "tags": surroundings()})

    @classmethod
    def found(cls, root: Path, key: Key) -> Told | None:
        """The tracker of this run; None where there is none or it does not answer."""
        try:
            return cls(os.environ[ADDRESS], root, key) if os.environ.get(ADDRESS) else None
        except OSError:
            return None

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        self._send({"step": int(step), "values": {name: float(value) for name, value in values.items()}})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:  # close() tells it, and history.csv has the values
            self._connection.close()

    def close(self, status: str) -> str | None:
        """Say how the stage ended and wait until that is written; returns what went wrong as one line, nothing where
        nothing did, and None where the tracker is gone."""
        self._send({"status": status})
        try:
            self._connection.settimeout(CLOSE_SECONDS[status] + SEND_SECONDS)
            with self._connection.makefile() as answers:
                warning: str = json.loads(answers.readline())["warning"]
                return warning
        except (OSError, ValueError):
            return None
        finally:
            self._connection.close()

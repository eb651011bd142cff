"""The tracking of a row while it runs. Where MLflow fails, the stage goes on without it."""

from __future__ import annotations

import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.config import REPOSITORY, Params
from pipeline.context import Log, silent
from pipeline.machine.addresses import masked
from pipeline.machine.imports import code_digest
from pipeline.results import records
from pipeline.stages import STAGES, Key
from pipeline.tracking import views
from pipeline.tracking.board import leaderboard
from pipeline.tracking.mlflow import Experiment, enabled, uri

FLUSH_SECONDS = 2.0
"""How long a live value waits to be written; the stage itself never waits for it."""

CLOSE_SECONDS = {"FINISHED": 120.0, "FAILED": 20.0, "KILLED": 20.0}
"""How long a stage that is done waits for the tracking server, by how it ended."""


class Live:
    """The log of a running stage: values go into a queue, and a thread of its own does everything else.

    Even MLflow's import happens there, since it costs a second. A child that was forked while a module is half
    imported could wait for that import for ever, so a fork waits until the run is open.
    """

    def __init__(self, params: Params, root: Path, key: Key) -> None:
        self._row = (params, root, key)
        self._values: queue.SimpleQueue[tuple[str, int, float]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._opened = threading.Event()
        self._status = "FAILED"
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()
        os.register_at_fork(before=self._before_fork)

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                self._values.put((f"{self._row[2][0]}_curves/{name}", int(step), float(value)))

    def close(self, status: str) -> None:
        """Say how the stage ended, and wait until that is written or the time is up."""
        self._status = status
        self._closing.set()
        self._thread.join(CLOSE_SECONDS[status])
        if self._thread.is_alive():
            _warn(f"no answer within {CLOSE_SECONDS[status]:.0f} s")

    def _before_fork(self) -> None:
        if threading.current_thread() is not self._thread:
            self._opened.wait(60)

    def _work(self) -> None:
        params, root, key = self._row
        try:
            record = records.head(params, root, key)
            record.tags.update(_provenance(key[0]))
            run = Experiment(views.rows_of(params)).resume(record)
            run.marked(root)
            load = run.watched()
            self._opened.set()
            while not self._closing.wait(FLUSH_SECONDS):
                run.log(self._waiting())
            load.finish()
            run.log(self._waiting())
            if self._status == "FINISHED":
                run.finish(params, root, key)
                if key[0] == "report":
                    leaderboard(root)
            run.end(self._status)
        except Exception as error:  # whatever is wrong with tracking, the stage goes on
            _warn(" ".join(masked(error).split())[:300])
        finally:
            self._opened.set()

    def _waiting(self) -> dict[str, dict[int, float]]:
        curves: dict[str, dict[int, float]] = {}
        while not self._values.empty():
            name, step, value = self._values.get()
            curves.setdefault(name, {})[step] = value
        return curves


def _warn(reason: str) -> None:
    print(f"warning: MLflow at {masked(uri())} is left out: {reason}", file=sys.stderr)


def _provenance(stage: str) -> dict[str, str]:
    """Tags that only a live run has: the code, and who started it."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = {
        "code": code_digest(stage)[:16],
        "mlflow.source.git.commit": asked.stdout.strip() if asked.returncode == 0 else "",
        "dvc_exp": os.environ.get("DVC_EXP_NAME", ""),
        "prefect_run": os.environ.get("GENAS_PREFECT_RUN", ""),
    }
    return {name: value for name, value in found.items() if value}


@contextmanager
def follow(stage: str, axes: Mapping[str, str], params: Params, root: Path) -> Iterator[Log]:
    """Track one row while it runs; what it yields takes the live values.

    A row that was cut off goes on in its old run where parameters, data and code are the same. The run ends as
    ``FINISHED`` with everything that the row left, as ``KILLED`` on SIGTERM and Ctrl-C, else as ``FAILED``.
    """
    looks_only = STAGES[stage].scan and not STAGES[stage].axes  # at the code, and leaves nothing that anybody compares
    if looks_only or not enabled():
        yield silent
        return
    live = Live(params, root, (stage, "-".join(axes.values())))
    status = "FAILED"
    try:
        yield live
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except SystemExit as stop:
        status = "KILLED" if stop.code == 143 else "FAILED"
        raise
    finally:
        live.close(status)

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

from genas.pipeline.config import CHECKOUT, CODE, Params
from genas.pipeline.context import Log, silent
from genas.pipeline.machine.addresses import masked
from genas.pipeline.machine.imports import code_digest
from genas.pipeline.results import records
from genas.pipeline.stages import STAGES, Key
from genas.pipeline.tracking import views
from genas.pipeline.tracking.board import leaderboard
from genas.pipeline.tracking.mlflow import Experiment, enabled, uri
from genas.pipeline.tracking.told import CLOSE_SECONDS, Told, surroundings

FLUSH_SECONDS = 2.0
"""How long a live value waits to be written; the stage itself never waits for it."""


class Live:
    """The log of a running stage: values go into a queue, and a thread of its own does everything else.

    Even MLflow's import happens there, since it costs a second. A child that was forked while a module is half
    imported could wait for that import for ever, so a fork waits until the run is open.
    """

    def __init__(self, params: Params, root: Path, key: Key, tags: Mapping[str, str]) -> None:
        self._row = (params, root, key)
        self._tags = tags
        self._warning = ""
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

    def close(self, status: str) -> str:
        """Say how the stage ended, and wait until that is written or the time is up; returns what went wrong, if
        anything did, as one line."""
        self._status = status
        self._closing.set()
        self._thread.join(CLOSE_SECONDS[status])
        if self._thread.is_alive():
            self._warn(f"no answer within {CLOSE_SECONDS[status]:.0f} s")
        return self._warning

    def _warn(self, reason: str) -> None:
        self._warning = f"warning: MLflow at {masked(uri())} is left out: {reason}"

    def _before_fork(self) -> None:
        if threading.current_thread() is not self._thread:
            self._opened.wait(60)

    def _work(self) -> None:
        params, root, key = self._row
        try:
            record = records.head(params, root, key)
            record.tags.update(provenance(key[0]) | dict(self._tags))
            run = Experiment(views.rows_of(params)).resume(record)
            run.marked(root)
            with run.watched():
                self._opened.set()
                while not self._closing.wait(FLUSH_SECONDS):
                    run.log(self._waiting())
            run.log(self._waiting())
            if self._status == "FINISHED":
                run.finish(params, root, key)
                if key[0] == "report":
                    leaderboard(root)
            run.end(self._status)
        except Exception as error:  # whatever is wrong with tracking, the stage goes on
            self._warn(" ".join(masked(error).split())[:300])
        finally:
            self._opened.set()

    def _waiting(self) -> dict[str, dict[int, float]]:
        curves: dict[str, dict[int, float]] = {}
        while not self._values.empty():
            name, step, value = self._values.get()
            curves.setdefault(name, {})[step] = value
        return curves


def provenance(stage: str) -> dict[str, str]:
    """Tags that only a live run has: the code it ran."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CODE, capture_output=True, text=True, check=False)
    commit = {"mlflow.source.git.commit": asked.stdout.strip()} if CHECKOUT and asked.returncode == 0 else {}
    return {"code": code_digest(stage)[:16], **commit}


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
    key = (stage, "-".join(axes.values()))
    log = Told.found(root, key) or Live(params, root, key, surroundings())
    status = "FAILED"
    try:
        yield log
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except SystemExit as stop:
        status = "KILLED" if stop.code == 143 else "FAILED"
        raise
    finally:
        warning = log.close(status)
        if warning is None:  # the tracker is gone
            warning = Live(params, root, key, surroundings()).close(status)
        if warning:
            print(warning, file=sys.stderr)

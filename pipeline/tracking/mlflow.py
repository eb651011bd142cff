"""MLflow, and the only module that imports it: live curves, finished runs, the leaderboard, and all of it rebuilt.

MLflow is a view. No stage reads from it, everything in it can be made again from the files under ``out/`` with
:func:`rebuild`, and where it fails a stage goes on without it. A profile has two experiments: ``genas-<profile>`` with
one run a row, and ``genas-<profile>-leaderboard`` with one run a retrained network. Metrics are grouped by stage:
``search/score`` is final, ``search_curves/best`` has a value per generation. What a stage logs live are the columns of
its ``history.csv``, so the curves are the same when they are rebuilt.

``GENAS_MLFLOW=off`` switches it off; ``MLFLOW_TRACKING_URI`` says where it writes, by default ``mlflow.db`` and
``mlartifacts/`` in the repository.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import GenasError
from pipeline.config import REPOSITORY, Params, load_params
from pipeline.context import Log, silent
from pipeline.results import board as results
from pipeline.results import records
from pipeline.results.records import Record
from pipeline.stages import Key
from pipeline.tracking.pictures import drawn

if TYPE_CHECKING:
    from mlflow.entities import Run as Entity

FLUSH_SECONDS = 2.0
"""How long a live value waits to be written; the stage itself never waits for it."""

CLOSE_SECONDS = {"FINISHED": 120.0, "FAILED": 20.0, "KILLED": 20.0}
"""How long a stage that is done waits for the tracking server, by how it ended."""

BATCH = 1000
"""MLflow's own limit of metrics in one call; that of parameters and of tags is a tenth of it."""

SQLITE = "sqlite:///"


def uri() -> str:
    """Where runs are kept: ``MLFLOW_TRACKING_URI``, else SQLite in the repository."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{REPOSITORY / 'mlflow.db'}"


def enabled() -> bool:
    """False with ``GENAS_MLFLOW=off``, and in all but the first process of a distributed run."""
    return os.environ.get("GENAS_MLFLOW", "").lower() != "off" and os.environ.get("RANK", "0") == "0"


@contextmanager
def _alone() -> Iterator[None]:
    """Hold a lock while an SQLite database is opened: two processes cannot both create its tables."""
    if not uri().startswith(SQLITE):
        yield
        return
    folder = os.open(Path(uri().removeprefix(SQLITE)).absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _patiently(write: Callable[..., object], *args: object, **named: object) -> None:
    """Call up to three times: a database that another process is writing to is busy for a moment."""
    for seconds in (1.0, 3.0):
        try:
            write(*args, **named)
            return
        except Exception:  # whichever it is, the last attempt raises it
            time.sleep(seconds)
    write(*args, **named)


class Experiment:
    """One experiment, made where it does not exist. Whatever MLflow raises is let through."""

    def __init__(self, name: str) -> None:
        # Before the import: no notes on the terminal, no usage statistics, no minutes of waiting for a dead server.
        for variable, value in {
            "MLFLOW_LOGGING_LEVEL": "CRITICAL",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        }.items():
            os.environ.setdefault(variable, value)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        with _alone():
            self.client = MlflowClient(tracking_uri=uri())
            found = self.client.get_experiment_by_name(name)
            if found is None:
                local = Path(uri().removeprefix(SQLITE)).absolute().parent / "mlartifacts" / name
                try:
                    artifacts = local.as_uri() if uri().startswith(SQLITE) else None
                    self.client.create_experiment(
                        name, artifacts, {"mlflow.experimentKind": "custom_model_development"}
                    )
                except MlflowException as error:  # on a server, where another process was quicker
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                found = self.client.get_experiment_by_name(name)
            assert found is not None
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            self.id: str = found.experiment_id

    def runs(self, query: str = "") -> list[Run]:
        """The runs that match an MLflow filter, newest first."""
        page = self.client.search_runs([self.id], query)
        found = list(page)
        while page.token:
            page = self.client.search_runs([self.id], query, page_token=page.token)
            found += page
        return [Run(self, entity) for entity in found]

    def start(self, record: Record, seconds: float = 0.0) -> Run:
        """A new and empty run with the record's name, which began ``seconds`` ago."""
        began = int((time.time() - seconds) * 1000)
        return Run(self, self.client.create_run(self.id, began, run_name=record.name))

    def resume(self, record: Record) -> Run:
        """The row's run that was cut off, where all that it depends on is unchanged, else a new one; both described.

        A killed process cannot close its run, so any other open run of the row is marked as killed.
        """
        same = ("fingerprint", "code", "dvc_exp")
        chosen = None
        for run in self.runs(f"tags.stage = '{record.tags['stage']}' and tags.row = '{record.tags['row']}'"):
            tags, status = run.entity.data.tags, run.entity.info.status
            if status != "FINISHED" and chosen is None and all(tags.get(t) == record.tags.get(t) for t in same):
                chosen = run
                chosen.reopen()
            elif status == "RUNNING" and tags.get("dvc_exp") == record.tags.get("dvc_exp"):
                run.end("KILLED")
        chosen = chosen or self.start(record)
        chosen.describe(record)
        return chosen


class Run:
    """One run, and what has already been written to it."""

    def __init__(self, experiment: Experiment, entity: Entity) -> None:
        self.client = experiment.client
        self.entity = entity
        self.id: str = entity.info.run_id
        self.written: dict[tuple[str, int], float] = {}

    def describe(self, record: Record) -> None:
        """Write parameters, tags and data sets."""
        from mlflow.entities import Dataset, DatasetInput, Param, RunTag

        # MLflow forbids some characters that keys of other frameworks' configurations have.
        names = {"".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name): name for name in record.settings}
        params = [Param(safe, record.settings[name][:6000]) for safe, name in names.items()]
        tags = [RunTag(name, value) for name, value in record.tags.items()]
        for i in range(0, max(len(params), len(tags)), BATCH // 10):
            part = slice(i, i + BATCH // 10)
            _patiently(self.client.log_batch, self.id, params=params[part], tags=tags[part])
        sets = [
            DatasetInput(Dataset(name, digest[:36], "dvc", json.dumps({"manifest": f"out/data/{name}"})))
            for name, digest in record.digests.items()
        ]
        if sets:
            _patiently(self.client.log_inputs, self.id, sets)

    def reopen(self) -> None:
        """Continue after a kill: running again, and aware of what was logged before."""
        self.client.update_run(self.id, status="RUNNING")
        for name in self.entity.data.metrics:
            for metric in self.client.get_metric_history(self.id, name):
                self.written[name, metric.step] = metric.value

    def log(self, curves: Mapping[str, Mapping[int, float]]) -> None:
        """Write ``{name: {step: value}}``, without what is there already."""
        from mlflow.entities import Metric

        new = {(name, step): value for name, points in curves.items() for step, value in points.items()}
        new = {place: value for place, value in new.items() if self.written.get(place) != value}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for (name, step), value in new.items()]
        for i in range(0, len(metrics), BATCH):
            _patiently(self.client.log_batch, self.id, metrics=metrics[i : i + BATCH])
        self.written |= new

    def complete(self, record: Record) -> None:
        """Write everything that a finished row left; what is known of it may be more than when it started."""
        import pandas as pd

        self.describe(record)
        self.log({**{name: {0: value} for name, value in record.metrics.items()}, **record.curves})
        for path, folder in record.files:
            self.client.log_artifact(self.id, str(path), folder or None)
            if path.name == "candidates.parquet" and "mlflow.loggedArtifacts" not in self.entity.data.tags:
                self.client.log_table(self.id, pd.read_parquet(path), "candidates.json")  # shown by MLflow as a table

    def finish(self, params: Params, root: Path, key: Key) -> None:
        """:meth:`complete` a row from its files, and attach the pictures that are drawn from them."""
        self.complete(records.full(params, root, key))
        with drawn(params, root, key) as paths:
            for path in paths:
                self.client.log_artifact(self.id, str(path))

    def end(self, status: str) -> None:
        """Close the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        _patiently(self.client.set_terminated, self.id, status)


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
            run = Experiment(f"genas-{params.profile}").resume(record)
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
            _warn(" ".join(str(error).split())[:300])
        finally:
            self._opened.set()

    def _waiting(self) -> dict[str, dict[int, float]]:
        curves: dict[str, dict[int, float]] = {}
        while not self._values.empty():
            name, step, value = self._values.get()
            curves.setdefault(name, {})[step] = value
        return curves


def _warn(reason: str) -> None:
    print(f"warning: MLflow at {uri()} is left out: {reason}", file=sys.stderr)


def _provenance(stage: str) -> dict[str, str]:
    """Tags that only a live run has: the code, and who started it."""
    from pipeline.machine.resume import code_digest

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
    if not enabled():
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


def leaderboard(root: Path) -> int:
    """Bring the leaderboard in line with ``out/``, and tell each search how its network did; returns its length."""
    params = load_params(root)
    experiment = Experiment(f"genas-{params.profile}-leaderboard")
    board = results.leaderboard(params, root)
    wanted = {row: records.entry(params, root, row, metrics) for row, metrics in board.items()}
    for run in experiment.runs():
        data = run.entity.data
        same = wanted.get(run.entity.info.run_name)
        if same and (data.metrics, data.params, data.tags.get("fingerprint")) == (
            same.metrics,
            same.settings,
            same.tags["fingerprint"],
        ):
            del wanted[same.name]
        else:
            experiment.client.delete_run(run.id)
    for record in wanted.values():
        run = experiment.start(record)
        run.complete(record)
        run.end("FINISHED")
    _tell_searches(params, board)
    return len(board)


def _tell_searches(params: Params, board: Mapping[str, Mapping[str, float]]) -> None:
    """Give each search's newest finished run the best top-1 that its cell reached when retrained."""
    reached: dict[str, float] = {}
    for row, metrics in board.items():
        stage, _, cell = params.rows[row].cell.partition("/")
        if stage == "search" and "top1" in metrics:
            reached[cell] = max(metrics["top1"], reached.get(cell, -math.inf))
    for run in Experiment(f"genas-{params.profile}").runs("tags.stage = 'search' and attributes.status = 'FINISHED'"):
        name = "search/retrained_top1"
        top1 = reached.pop(run.entity.data.tags["row"], None)
        if top1 is not None and run.entity.data.metrics.get(name) != top1:
            run.log({name: {0: top1}})


def rebuild(root: Path) -> int:
    """Make a profile's experiments again from ``params.yaml`` and ``out/``; returns how many rows have a run.

    Former runs of the profile go to MLflow's bin (``mlflow gc`` empties it). Twice is as good as once.

    Raises:
        GenasError: ``params.yaml`` is wrong, or MLflow cannot be written to.
    """
    params = load_params(root)
    keys = records.finished(params, root)
    try:
        experiment = Experiment(f"genas-{params.profile}")
        for run in experiment.runs():
            experiment.client.delete_run(run.id)
        for key in keys:
            seconds = float(records.timing(root, key).get("seconds", 0.0))
            run = experiment.start(records.head(params, root, key), seconds)
            run.finish(params, root, key)
            run.end("FINISHED")
        leaderboard(root)
    except Exception as error:
        raise GenasError(f"MLflow at {uri()}: {' '.join(str(error).split())[:300]}") from error
    return len(keys)

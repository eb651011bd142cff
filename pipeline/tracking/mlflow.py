"""MLflow, and the only module that imports it: experiments and runs, and how they are written to.

MLflow is a view. No stage reads from it, everything in it can be made again from the files under ``out/`` with
:func:`rebuild`, and where it fails a stage goes on without it. A profile has two experiments: ``genas-<profile>`` with
one run a row, and ``genas-<profile>-leaderboard`` with one run a retrained network. Metrics are grouped by stage:
``search/score`` is final, ``search_curves/best`` has a value per generation. What a stage logs live are the columns of
its ``history.csv``, so the curves are the same when they are rebuilt. A retrained network is a logged model besides,
which links to its weights (:mod:`genas.pipeline.tracking.network`). Only what the machine did meanwhile (``system/``)
is seen live and not rebuilt.

``GENAS_MLFLOW=off`` switches it off; ``MLFLOW_TRACKING_URI`` says where it writes, by default ``mlflow.db`` and
``mlartifacts/`` in the repository.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genas.pipeline.config import REPOSITORY, Params
from genas.pipeline.results import records
from genas.pipeline.results.records import Record
from genas.pipeline.stages import Key, folder_of
from genas.pipeline.tracking import network
from genas.pipeline.tracking.marks import Mark, mark
from genas.pipeline.tracking.network import LINK, Link, example
from genas.pipeline.tracking.pictures import drawn
from genas.pipeline.tracking.views import Page

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Entity

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


def connected() -> MlflowClient:
    """A client of the database; whatever MLflow raises is let through."""
    # Before the import: no notes on the terminal, no usage statistics, no minutes of waiting for a dead server.
    for variable, value in {
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri())


class Experiment:
    """One experiment with the tags of its page, made where it does not exist. Whatever MLflow raises is let through."""

    def __init__(self, page: Page) -> None:
        name = page.name
        with _alone():
            self.client = connected()
            from mlflow.exceptions import MlflowException

            found = self.client.get_experiment_by_name(name)
            if found is None:
                local = Path(uri().removeprefix(SQLITE)).absolute().parent / "mlartifacts" / name
                try:
                    artifacts = local.as_uri() if uri().startswith(SQLITE) else None
                    self.client.create_experiment(name, artifacts, page.tags)
                except MlflowException as error:  # on a server, where another process was quicker
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                found = self.client.get_experiment_by_name(name)
            assert found is not None
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            self.id: str = found.experiment_id
            for tag, value in page.tags.items():
                if found.tags.get(tag) != value:
                    self.client.set_experiment_tag(self.id, tag, value)

    def runs(self, query: str = "") -> list[Run]:
        """The runs that match an MLflow filter, newest first."""
        page = self.client.search_runs([self.id], query)
        found = list(page)
        while page.token:
            page = self.client.search_runs([self.id], query, page_token=page.token)
            found += page
        return [Run(self, entity) for entity in found]

    def models(self) -> list[Any]:
        """The logged models that are ready, newest first."""
        page = self.client.search_logged_models([self.id])
        found = list(page)
        while page.token:
            page = self.client.search_logged_models([self.id], page_token=page.token)
            found += page
        return found

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

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Write the load of the machine (``system/``) every ten seconds while the block runs."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(self.id, resume_logging=True, tracking_uri=uri())
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def log_model(self, record: Record, root: Path, weights: Path) -> None:
        """Log a network: its link to the weights, signature, an example, the row's settings and final metrics."""
        import pandas as pd
        from mlflow.entities import LoggedModelOutput, Metric
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import ColSpec, Schema

        link, size = Link.to(root, weights), int(record.settings["row.image_size"])
        tags = {**record.tags, "dvc.md5": link.md5, "dvc.path": link.path}
        takes, gives = [ColSpec("binary", "image")], [ColSpec("string", "label"), ColSpec("double", "probability")]
        experiment = self.entity.info.experiment_id
        model = self.client.create_logged_model(
            experiment, record.tags["row"], self.id, tags, record.settings, "image classifier"
        )
        with TemporaryDirectory() as name:
            data, folder = Path(name) / "data", Path(name) / "model"
            data.mkdir()
            (data / LINK).write_text(json.dumps(asdict(link), indent=1) + "\n")
            save_model(
                folder,
                loader_module=network.__name__,
                data_path=data,
                mlflow_model=Model(model_id=model.model_id, run_id=self.id),
                signature=ModelSignature(Schema(takes), Schema(gives)),
                input_example=pd.DataFrame({"image": [example(size)]}),
                pip_requirements=["genas-pipeline"],
            )
            self.client.log_model_artifacts(model.model_id, str(folder))
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(self.id, [LoggedModelOutput(model.model_id, 0)])
        now, seen = int(time.time() * 1000), record.settings["row.dataset"]
        of = {"model_id": model.model_id, "dataset_name": seen, "dataset_digest": record.digests.get(seen, "")[:36]}
        metrics = [Metric(name, value, now, 0, **of) for name, value in record.metrics.items()]
        _patiently(self.client.log_batch, self.id, metrics=metrics)

    def finish(self, params: Params, root: Path, key: Key) -> None:
        """:meth:`complete` a row from its files, and attach the pictures that are drawn from them; a retrained network
        is logged as a model."""
        record = records.full(params, root, key)
        self.complete(record)
        weights = root / folder_of(key) / "weights.safetensors"
        if key[0] == "retrain" and weights.exists():
            self.log_model(record, root, weights)
        with drawn(params, root, key) as paths:
            for path in paths:
                self.client.log_artifact(self.id, str(path))

    def marked(self, root: Path) -> None:
        """Note it as its row's newest run."""
        mark(root, self.entity.info.run_name, Mark(self.entity.info.experiment_id, self.id))

    def end(self, status: str) -> None:
        """Close the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        _patiently(self.client.set_terminated, self.id, status)

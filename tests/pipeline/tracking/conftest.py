"""A fresh SQLite database for each test."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from genas.pipeline.tracking import live, mlflow


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, which cost a second to make."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def database(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tracking"
    folder.mkdir()
    shutil.copy(empty, folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    logging.getLogger("mlflow").setLevel("CRITICAL")  # as a row has it, by a variable that MLflow reads when imported
    monkeypatch.delenv("GENAS_MLFLOW", raising=False)
    monkeypatch.setattr(live, "FLUSH_SECONDS", 0.05)
    return folder


def runs(name: str = "genas-demo") -> list[Any]:
    client = MlflowClient(tracking_uri=mlflow.uri())
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def content(name: str = "genas-demo") -> dict[str, Any]:
    """Everything of an experiment that does not depend on when and from which code it was written."""
    client = MlflowClient(tracking_uri=mlflow.uri())
    found = {}
    for run in runs(name):
        history = {
            key: sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key))
            for key in run.data.metrics
            if not key.startswith("system/")
        }
        tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.") and key != "code"}
        sets = sorted((used.dataset.name, used.dataset.digest) for used in run.inputs.dataset_inputs)
        files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        assert run.info.run_name not in found, "one run a row"
        found[run.info.run_name] = (run.info.status, dict(run.data.params), tags, history, sets, files)
    return found

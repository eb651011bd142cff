"""A fresh SQLite database for each test."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.tracking import live


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

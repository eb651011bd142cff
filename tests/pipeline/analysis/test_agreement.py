"""Rank agreement and the standard error of flatness: arithmetic by hand, and the stage."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genas.models.errors import GenasError
from genas.pipeline.analysis import agreement
from genas.pipeline.analysis.agreement import rank_agreement, standard_errors
from genas.pipeline.config import Params
from genas.pipeline.machine.resume import Scratch
from tests.conftest import Tiny, tiny_params

ROW = {"dataset": "small", "seed": "0"}
MEASURES = Params.model_validate(tiny_params()).measures
FILES = ("candidates.parquet", "agreement.csv", "errors.csv")


def test_tau_by_hand() -> None:
    """Of the three pairs accuracy and angle agree on two; a smaller loss is better."""
    table = pd.DataFrame({"accuracy": [0.1, 0.2, 0.3], "angle": [1.0, 3.0, 2.0], "loss": [3.0, 2.0, 1.0]})
    tau = rank_agreement(table, ("accuracy", "angle", "loss"), MEASURES)
    third = 1 / 3
    assert tau.to_numpy() == pytest.approx(np.array([[1, third, 1], [third, 1, third], [1, third, 1]]))


def test_standard_errors_by_hand() -> None:
    """One architecture, two replicates of two draws: first draws 1 and 3, means 2 and 2."""
    values = np.array([[[1.0, 3.0], [3.0, 1.0]]])
    assert standard_errors(values, (1, 2)) == pytest.approx([100 * np.sqrt(2) / 2, 0])


def test_a_run_leaves_its_tables_and_goes_on_after_a_kill(trained: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    context = trained.context("agreement", **ROW)
    metrics = agreement.run(context)
    whole = {name: (context.out / name).read_bytes() for name in FILES}
    names = ["flatness", "angle", "accuracy", "loss", "params", "macs"]
    tau = pd.read_csv(context.out / "agreement.csv", index_col="measure")
    assert tau.index.tolist() == tau.columns.tolist() == names
    assert metrics["tau_flatness_loss"] == pytest.approx(tau.loc["flatness", "loss"])
    assert len(metrics) == 15 + 1
    assert json.loads(json.dumps(metrics)) == metrics
    errors = pd.read_csv(context.out / "errors.csv", index_col="images")
    assert (errors.index.tolist(), errors.columns.tolist()) == ([8, 16], ["1", "2"])
    assert (errors > 0).all(axis=None)
    assert len(pd.read_parquet(context.out / "candidates.parquet")) == metrics["architectures"] == 6

    monkeypatch.setattr(agreement, "CHUNK", 2)
    real, saved = Scratch.save, []

    def save(self: Scratch, name: str, state: Any) -> None:
        real(self, name, state)
        saved.append(len(state))
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Scratch, "save", save)
    with pytest.raises(KeyboardInterrupt):
        agreement.run(context)
    assert agreement.run(context) == metrics
    assert {name: (context.out / name).read_bytes() for name in FILES} == whole
    assert saved == [2, 4, 6, 1, 2, 3, 4]  # architectures by twos, then four replicates
    assert not list((trained.root / ".scratch").iterdir())


def test_more_images_than_there_are_is_one_line(trained: Tiny) -> None:
    trained.change("agreement", error__images=[1000])
    with pytest.raises(GenasError, match=r"agreement.error.images: 1000 of 30 held-out images"):
        agreement.run(trained.context("agreement", **ROW))

"""What is measured of NAS-Bench-301's architectures in a supernet of the DARTS space."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline import measures
from genas.pipeline.config import PROFILES, load_params
from genas.pipeline.nasbench301 import measuring as nasbench301
from genas.pipeline.nasbench301.benchmark import load_benchmark, table_of
from tests.conftest import Killed, Tiny
from tests.pipeline.nasbench201.test_nasbench201 import die_at
from tests.pipeline.nasbench301.test_benchmark import write_benchmark

LABORATORY: dict[str, Any] = yaml.safe_load((PROFILES["laboratory"] / "params.yaml").read_text())
ROW = {"dataset": "small", "seed": "0"}
SCORES = "out/nasbench301/small-0/scores.parquet"


def with_table(tiny: Tiny, root: Path, **settings: Any) -> Tiny:
    """The tiny profile with a row of the laboratory, and a made-up table in a data root of its own."""
    write_benchmark(root / "nasbench301.parquet")
    small = copy.deepcopy(LABORATORY["nasbench301"]["settings"])
    noise = small["noises"]["cells"] | {"sigma": [1e-3, 2e-3]}
    small["measures"] |= {"images": 16, "recalibrate_images": 16, "recalibrate_batch_size": 8, "batch_size": 8}
    small["measures"] |= {"zero_cost_images": 4, "scorer": "auto"}
    small |= {"table": "nasbench301.parquet", "architectures": 10, "top": 3, "bootstrap": 20, "permutations": 5}
    small |= {
        "noises": {"cells": noise},
        "chosen": [],
        "measured": ["flatness", "accuracy", "angle", "params", "naswot"],
    }
    tiny.change("matrix", nasbench301={"dataset": ["small"], "seed": [0]})
    tiny.change("nasbench301", settings=small | settings)
    return tiny


@pytest.fixture
def ready(trained: Tiny, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A profile with a trained supernet and a table."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "small").symlink_to(small_data / "small")
    monkeypatch.setenv("GENAS_DATA", str(root))
    return with_table(trained, root)


def test_the_first_architectures_are_measured(ready: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "ZERO_COST", ("naswot",))  # of trained weights; the others take seconds
    context = ready.context("nasbench301", **ROW)
    metrics = nasbench301.run(context)
    table = pd.read_parquet(ready.root / SCORES)
    known = load_benchmark(table_of(load_params(ready.root)))
    assert metrics["architectures"] == 10
    assert table["architecture"].tolist() == known.index[:10].tolist()
    for name in ("flatness", "loss", "accuracy_as_trained", "trained_naswot", "cells_0_1"):
        assert np.isfinite(table[name]).all(), name
    assert context.notes["scorer"] in ("native", "fast")


@pytest.mark.slow
def test_all_scorers_measure_the_same(ready: Tiny) -> None:
    tables = []
    for scorer in ("plain", "fast", "auto"):
        ready.change("nasbench301", settings__measures__scorer=scorer)
        nasbench301.run(ready.context("nasbench301", **ROW))
        tables.append(pd.read_parquet(ready.root / SCORES))
    for other in tables[1:]:
        for name in ("loss", "loss_as_trained", "cells_0_1", "angle", "naswot", "trained_naswot"):
            assert tables[0][name].to_numpy() == pytest.approx(other[name].to_numpy(), rel=1e-4, abs=1e-5), name


@pytest.mark.slow
def test_a_kill_changes_nothing(ready: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    nasbench301.run(ready.context("nasbench301", **ROW))
    whole = (ready.root / SCORES).read_bytes()
    (ready.root / SCORES).unlink()
    started = die_at(4, monkeypatch)
    with pytest.raises(Killed):
        nasbench301.run(ready.context("nasbench301", **ROW))
    nasbench301.run(ready.context("nasbench301", **ROW))
    assert len(started) == 11
    assert (ready.root / SCORES).read_bytes() == whole


def test_more_architectures_than_there_are_is_one_line(ready: Tiny) -> None:
    ready.change("nasbench301", settings__architectures=13)
    with pytest.raises(GenasError, match=r"^nasbench301\.settings\.architectures: 13 of 12$"):
        nasbench301.run(ready.context("nasbench301", **ROW))


def test_all_architectures_are_those_of_the_table(ready: Tiny) -> None:
    ready.change("nasbench301", settings__architectures=None)
    found = nasbench301.sample(load_params(ready.root))
    assert len(found) == 12
    assert all(isinstance(genotype, Genotype) for genotype in found)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("nasbench301", {"settings": None}, "nasbench301.settings are needed for the rows of matrix.nasbench301"),
        (
            "matrix",
            {"nasbench301": {"dataset": ["other"], "seed": [0]}},
            "matrix.nasbench301: unknown data set 'other'",
        ),
        ("matrix", {"nasbench301": {"dataset": ["small_shift"], "seed": [0]}}, "supernet.small_shift: no settings"),
        ("nasbench301", {"settings__measured": ["nothing"]}, "nothing"),
    ],
)
def test_wrong_settings_are_refused(ready: Tiny, section: str, change: dict[str, Any], message: str) -> None:
    ready.change(section, **change)
    with pytest.raises(GenasError, match=message):
        load_params(ready.root)

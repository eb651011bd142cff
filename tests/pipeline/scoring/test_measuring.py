"""Measuring many architectures, here or elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.scoring.measuring import scoring
from tests.conftest import Tiny

GENOTYPES = [random_genotype(np.random.default_rng(seed)) for seed in range(8)]
ROW = {"dataset": "small", "metric": "flatness", "seed": "0"}
CLUSTER = """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

def processes():
    return ProcessPoolExecutor(1, get_context("spawn"))

def thread():
    return ThreadPoolExecutor(1)

def threads():
    return ThreadPoolExecutor(4)

def nothing():
    return object()
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module ``our_cluster`` as a user would write it."""
    (tmp_path / "our_cluster.py").write_text(CLUSTER)
    monkeypatch.syspath_prepend(str(tmp_path))


def measured(profile: Tiny) -> list[dict[str, object]]:
    with scoring(profile.context("search", **ROW), ("flatness", "angle")) as score_all:
        return list(score_all(GENOTYPES))


@pytest.mark.parametrize("function", ["thread", "threads", pytest.param("processes", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("cluster")
def test_anybodys_executor_measures_the_same(trained: Tiny, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    here = measured(trained)
    assert [sorted(values) for values in here] == [
        ["angle", "error", "flatness", "loss_0", "loss_1", "loss_2", "score"]
    ] * 8
    monkeypatch.setenv("GENAS_EXECUTOR", f"our_cluster:{function}")
    assert measured(trained) == here


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:function", "GENAS_EXECUTOR=no_such_module:function: expected module:function"),
        ("our_cluster:no_such_function", "GENAS_EXECUTOR=our_cluster:no_such_function: expected module:function"),
        ("our cluster", "GENAS_EXECUTOR=our cluster: expected module:function"),
        ("our_cluster", "GENAS_EXECUTOR=our_cluster: expected module:function, got a module"),
        ("our_cluster:nothing", "GENAS_EXECUTOR=our_cluster:nothing: object has no map"),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_what_is_no_executor_is_named(trained: Tiny, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setenv("GENAS_EXECUTOR", name)
    with pytest.raises(GenasError, match=message):
        measured(trained)


@pytest.mark.parametrize("number", ["abc", "0", "-1", "1.5", "99999999"])
def test_a_wrong_number_of_workers_is_one_line(trained: Tiny, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("GENAS_WORKERS", number)
    with pytest.raises(GenasError, match=rf"^GENAS_WORKERS is '{number}', expected a number of processes, 1 to 1024$"):
        measured(trained)

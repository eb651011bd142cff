"""Processes that die are replaced, here and on clusters, and the numbers stay the same."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from genas.models.errors import GenasError
from genas.pipeline.machine import clusters, workers
from genas.pipeline.machine.workers import ATTEMPTS, Workers, take_gpu
from genas.pipeline.search import stage as search
from tests.conftest import Tiny


def square(folder: Path, number: int) -> int:
    """The square; the process that meets 3 first dies of it, and every one that meets 12."""
    marker = folder / "died"
    if number == 12 or (number == 3 and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number * number


def test_a_process_that_dies_is_replaced_and_its_item_measured_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Workers(2, lambda why: why) as pool:
        found = list(pool.map(partial(square, tmp_path), range(6)))
    assert (tmp_path / "died").exists()
    assert found == [n * n for n in range(6)]
    assert "another takes its place" in capfd.readouterr().err


@pytest.mark.slow
def test_an_item_that_kills_every_process_is_given_up(tmp_path: Path) -> None:
    with Workers(2, lambda why: why) as pool:
        found = list(pool.map(partial(square, tmp_path), range(8, 16)))
        again = list(pool.map(partial(square, tmp_path), range(4)))
    assert found[4] == f"a scoring process ended with status -9, {ATTEMPTS} times"
    assert [one for one in found if isinstance(one, int)] == [n * n for n in range(8, 16) if n != 12]
    assert again == [0, 1, 4, 9]


@pytest.mark.slow
@pytest.mark.parametrize("pause", [pytest.param(0.0, id="not yet noticed"), pytest.param(0.5, id="noticed")])
def test_a_process_that_dies_without_an_item_is_replaced_too(pause: float) -> None:
    """Pebble gives up the whole pool then, with whatever is scheduled before it has noticed."""
    with Workers(1, str) as pool:
        assert list(pool.map(abs, [-1])) == [1]
        kill_one_worker()
        time.sleep(pause)
        assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_an_error_of_the_function_comes_through() -> None:
    with Workers(1, str) as pool, pytest.raises(TypeError):
        list(pool.map(len, [3]))


def test_workers_hold_different_gpus_and_a_dead_one_s_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    taken, held = [], []
    real = os.open
    monkeypatch.setattr(workers.os, "open", lambda *args: held.append(real(*args)) or held[-1])
    monkeypatch.setenv("GENAS_DEVICE", "")  # so that what is set below is taken back
    for _ in range(3):
        os.environ["GENAS_DEVICE"] = ""
        take_gpu(str(tmp_path))
        taken.append(os.environ["GENAS_DEVICE"])
    assert taken == ["cuda:0", "cuda:1", "cuda:0"]  # a third one shares
    os.close(held[1] if len(held) == 3 else held[2])  # the second process ends
    os.environ["GENAS_DEVICE"] = ""
    take_gpu(str(tmp_path))
    assert os.environ["GENAS_DEVICE"] == "cuda:1"


def test_a_device_that_is_named_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("no lock is needed"))
    monkeypatch.setenv("GENAS_DEVICE", "cpu")
    take_gpu(str(tmp_path))
    assert os.environ["GENAS_DEVICE"] == "cpu"


@pytest.fixture
def two_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster, where one starts, is of two processes of this machine."""
    monkeypatch.setenv("GENAS_WORKERS", "2")
    monkeypatch.delenv("GENAS_CLUSTER", raising=False)


@pytest.fixture
def dask_executor(two_here: None) -> Iterator[Callable[[], Any]]:
    """Starts a Dask cluster, and ends it."""
    distributed = pytest.importorskip("distributed", reason="the cluster extra")
    yield clusters.dask
    client = distributed.default_client()
    client.cluster.close()
    client.close()


@pytest.fixture
def ray_executor(two_here: None) -> Iterator[Callable[[], Any]]:
    """Starts a Ray cluster, and ends it."""
    ray = pytest.importorskip("ray", reason="the cluster extra")
    yield clusters.ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("executor", ["dask_executor", "ray_executor"])
def test_clusters_replace_workers_too(executor: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = request.getfixturevalue(executor)().map(partial(square, tmp_path), range(7))
    assert list(found) == [n * n for n in range(7)]
    assert (tmp_path / "died").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "address",
    # A second client in one process has waited in vain for its own event loop, on a busy machine: Dask gives it 10 s.
    [
        "tcp://me:secret@127.0.0.1:9",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("nonsense://", "127.0.0.1:9")),
    ],
)
def test_a_dask_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    pytest.importorskip("distributed", reason="the cluster extra")
    monkeypatch.setenv("GENAS_CLUSTER", address)
    monkeypatch.setattr(clusters, "ANSWER_SECONDS", 1)
    started = time.monotonic()
    with pytest.raises(GenasError, match=r"^GENAS_CLUSTER=\S+: no distributed cluster answers \(") as error:
        clusters.dask()
    assert time.monotonic() - started < 30
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("address", ["ray://me:secret@127.0.0.1:9", "127.0.0.1:9", "nonsense://", "a b"])
def test_a_ray_cluster_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], address: str
) -> None:
    """Ray itself would try for ever, and write to standard error meanwhile."""
    pytest.importorskip("ray", reason="the cluster extra")
    monkeypatch.setenv("GENAS_CLUSTER", address)
    monkeypatch.setattr(clusters, "RAY_SECONDS", 5)
    with pytest.raises(GenasError, match=r"^GENAS_CLUSTER=.*: no ray cluster answers \(") as error:
        clusters.ray()
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
    assert capfd.readouterr().err == ""


def kill_one_worker() -> None:
    """The oldest scoring process below this one, whichever framework started it."""
    family = [(one, " ".join(one.cmdline())) for one in psutil.Process().children(recursive=True)]
    workers = [one for one, line in family if "spawn_main" in line or re.match(r"ray::(?!\w*Agent)", line)]
    assert workers
    workers[0].kill()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["processes", "dask", "ray"])
def test_a_search_survives_a_dead_worker_with_the_same_bytes(
    trained: Tiny, monkeypatch: pytest.MonkeyPatch, where: str, request: pytest.FixtureRequest
) -> None:
    row = {"dataset": "small", "metric": "angle_flatness", "seed": "0"}
    alone = trained.context("search", **row)
    search.run(alone)
    expected = (alone.out / "candidates.parquet").read_bytes()
    monkeypatch.setenv("GENAS_WORKERS", "2")
    if where != "processes":
        request.getfixturevalue(f"{where}_executor")
        monkeypatch.setenv("GENAS_EXECUTOR", f"genas.pipeline.machine.clusters:{where}")
    killed: list[int] = []

    def kill_after_the_first(generation: int, values: Mapping[str, float]) -> None:
        if not killed:
            kill_one_worker()
            killed.append(generation)

    context = trained.context("search", kill_after_the_first, **row)
    search.run(context)
    assert killed == [0]
    assert (context.out / "candidates.parquet").read_bytes() == expected

"""Processes that die are replaced, here and on clusters, and the numbers stay the same."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from pipeline import clusters, workers
from pipeline.workers import ATTEMPTS, Workers, take_gpu


def square(folder: Path, number: int) -> int:
    """The square; the process that meets 3 first dies of it, and every one that meets 7."""
    marker = folder / "died"
    if number == 7 or (number == 3 and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number * number


def test_a_process_that_dies_is_replaced_and_its_item_measured_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Workers(2, lambda why: why) as pool:
        found = list(pool.map(partial(square, tmp_path), range(10)))
        again = list(pool.map(partial(square, tmp_path), range(4)))
    assert (tmp_path / "died").exists()
    assert found[7] == f"a scoring process ended with status -9, {ATTEMPTS} times"
    assert [one for one in found if isinstance(one, int)] == [n * n for n in range(10) if n != 7]
    assert again == [0, 1, 4, 9]
    assert "another takes its place" in capfd.readouterr().err


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


@pytest.fixture(params=["dask", "ray"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    pytest.importorskip({"dask": "distributed"}.get(request.param, request.param), reason="the cluster extra")
    monkeypatch.setenv("GENAS_WORKERS", "2")
    monkeypatch.delenv("GENAS_CLUSTER", raising=False)
    yield getattr(clusters, request.param)
    if request.param == "ray":
        import ray

        ray.shutdown()
    else:
        from distributed import default_client

        client = default_client()
        client.cluster.close()
        client.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_clusters_replace_workers_too(executor: Callable[[], object], tmp_path: Path) -> None:
    found = executor().map(partial(square, tmp_path), range(7))  # type: ignore[attr-defined]
    assert list(found) == [n * n for n in range(7)]
    assert (tmp_path / "died").exists()

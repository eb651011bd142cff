"""Training in two processes (gloo, on the CPU): what each takes, what the sum of it is, and who writes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load
from torch import multiprocessing
from torchvision import transforms

from genas.models.errors import GenasError
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.genotype import random_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline.config import RecipeParams, SupernetParams
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.data.reading.images import Images, Pictures
from genas.pipeline.machine import data_parallel as parallel
from genas.pipeline.machine import distributed
from genas.pipeline.retrain.epoch import Training
from genas.pipeline.supernet import training as supernet
from tests.conftest import Tiny, run_stage, tiny_params

PARAMS = SupernetParams.model_validate(tiny_params()["supernet"]["small"])
UNIFORM = supernet.draw_uniformly(random_genotype)


def data() -> SearchData:
    """25 training images, so that the second batch of an epoch has 5, three for one process and two for the other."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(2, 25, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 4, (2, 25), generator=generator)
    return SearchData(images[0], labels[0], images[1], labels[1], 4)


def network_and_optimizer() -> tuple[Supernet, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = Supernet(num_classes=4, channels=2, layers=3)
    return network, supernet.make_optimizer(network, PARAMS)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


def worker(rank: int, port: int, folder: Path) -> None:
    """One of two processes; leaves what it ended with."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    with distributed.joined():
        whole = torch.arange(5.0)[:, None].expand(5, 2)
        own = parallel.share(whole)
        assert own[:, 0].tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0]][rank]
        assert parallel.interleave(own, 5).equal(whole)
        mean = parallel.average(own[:, 0].mean() * parallel.weight(len(own), len(whole)))
        assert float(mean) == pytest.approx(2.0)
        network, optimizer = network_and_optimizer()
        trained = parallel.parallel(network, unused=True)
        loss = supernet.train_epoch(trained, optimizer, data(), PARAMS, seed=0, epoch=0, draw=UNIFORM)
        results = {"supernet": {"loss": loss, "state": network.state_dict()}}
        for synchronise in (True, False):
            results[f"retrain {synchronise}"] = retrained(sync_batchnorm=synchronise)
    torch.save(results, folder / f"{rank}.pt")


def retrained(**changed: Any) -> dict[str, Any]:
    """Two epochs of a small network on 22 images, of which the last 6 are a step of their own."""
    recipe = RecipeParams.model_validate({**tiny_params()["recipes"]["short"], "learning_rate": 0.02, **changed})
    torch.manual_seed(0)
    network = GenasNetwork(zoo_genotype("darts_v2_c10"), 2, 3, 3, stem="cifar", auxiliary=True)
    training = Training(network, recipe)
    pixels = np.random.default_rng(3).integers(0, 255, (22, 16, 16, 3), np.uint8)
    source = Pictures(Images(pixels, np.arange(22) % 3), transforms.ToTensor())
    losses = [training.epoch(source, 0, epoch) for epoch in range(2)]
    return {"loss": losses[-1], "state": training.network.state_dict()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two processes end with."""
    folder = tmp_path_factory.mktemp("pair")
    multiprocessing.set_forkserver_preload([__name__])  # both take what it has imported
    multiprocessing.start_processes(worker, (free_port(), folder), nprocs=2, start_method="forkserver")
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2))
    return first, second


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], buffers: bool = True) -> None:
    """Weights to a thousandth and loss to a hundred-thousandth: another order of addition rounds otherwise."""
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    for name, value in theirs["state"].items():
        if buffers or ("running" not in name and "num_batches" not in name):
            torch.testing.assert_close(ours["state"][name], value, rtol=1e-3, atol=2e-5)


def test_two_processes_take_the_steps_of_one_supernet(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    network, optimizer = network_and_optimizer()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    loss = supernet.train_epoch(network, optimizer, data(), PARAMS, seed=0, epoch=0, draw=UNIFORM)
    assert_same(pair[0]["supernet"], {"loss": loss, "state": network.state_dict()})
    assert any(not p.equal(before[name]) for name, p in network.named_parameters())


def test_two_processes_retrain_as_one_with_the_whole_batch(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert_same(pair[0]["retrain True"], retrained())


def test_two_processes_with_their_own_batchnorm_are_one_with_two_parts(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """The running statistics differ: two processes' are averaged, two parts' follow each other."""
    ours = pair[0]["retrain False"]
    assert_same(ours, retrained(accumulate=2), buffers=False)
    with pytest.raises(AssertionError):
        assert_same(ours, retrained(), buffers=False)


def test_all_processes_end_with_the_same_bytes(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for what, first in pair[0].items():
        second = pair[1][what]
        assert first["loss"] == second["loss"]
        for name, value in first["state"].items():
            assert value.equal(second["state"][name]), (what, name)


def test_alone_everything_is_as_it_is() -> None:
    network, _ = network_and_optimizer()
    assert parallel.parallel(network, unused=True) is network
    assert (distributed.rank(), distributed.size(), distributed.leader()) == (0, 1, True)
    part = torch.arange(3.0)
    assert parallel.share(part).equal(part)
    assert parallel.interleave(part, 3) is part
    assert parallel.average(part) is part
    assert parallel.weight(4, 4) == 1


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run(root: Path, *row: str, processes: int) -> str:
    done = run_stage(root, *row, processes=processes)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_stage_starts_its_processes_itself_and_the_first_one_writes(tiny: Tiny) -> None:
    first = run(tiny.root, "supernet", "dataset=small", "seed=0", processes=2)
    out = tiny.root / "out/supernet/small-0"
    assert "error" not in first.lower()
    assert sorted(path.name for path in out.iterdir()) == [
        "history.csv", "initial.safetensors", "metrics.json", "timing.json", "trained.safetensors"
    ]  # fmt: skip
    assert pd.read_csv(out / "history.csv")["epoch"].tolist() == [1, 2, 3]
    assert not list((tiny.root / ".scratch").iterdir())


@pytest.mark.slow
def test_two_processes_train_the_same_bytes_again_and_one_the_same_tensors(tiny: Tiny) -> None:
    def train(processes: int) -> bytes:
        run(tiny.root, "supernet", "dataset=small", "seed=0", processes=processes)
        return (tiny.root / "out/supernet/small-0/trained.safetensors").read_bytes()

    together = train(2)
    shutil.rmtree(tiny.root / "out/supernet")
    assert train(2) == together
    assert load(train(1)).keys() == load(together).keys()


@pytest.mark.slow
def test_retraining_in_two_processes(tiny: Tiny) -> None:
    run(tiny.root, "zoo", "row=darts_v2_c10", processes=2)  # a stage that does not train starts as ever
    run(tiny.root, "retrain", "row=published", processes=2)
    history = pd.read_csv(tiny.root / "out/retrain/published/history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["top1"].between(0, 100).all()
    weights = tiny.bytes_of("retrain", "published", "weights.safetensors")
    run(tiny.root, "retrain", "row=published", processes=2)
    assert tiny.bytes_of("retrain", "published", "weights.safetensors") == weights


@pytest.mark.slow
@pytest.mark.parametrize("launched", ["here", "by hand"])
def test_a_mistake_that_all_processes_meet_is_told_once(tiny: Tiny, launched: str) -> None:
    if launched == "here":
        done = run_stage(tiny.root, "retrain", "row=found", processes=2)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1, done.stderr
    else:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        done = run_stage(tiny.root, "retrain", "row=found", launcher=torchrun)
        assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1
    assert "genotype.json: no such genotype file" in done.stderr


@pytest.fixture
def endless(tiny: Tiny) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A launcher in the middle of its work, and the processes that it started."""
    tiny.change("supernet", small__epochs=2000)
    environment = {**os.environ, "GENAS_PROCESSES": "2", "OMP_NUM_THREADS": "1", "GENAS_DEVICE": "cpu"}
    command = [sys.executable, "-m", "genas.pipeline", "supernet", "dataset=small", "seed=0"]
    with subprocess.Popen(command, cwd=tiny.root, env=environment, text=True, stderr=subprocess.PIPE) as launcher:
        wait_for(lambda: list(tiny.root.glob(".scratch/*/state.pt")))
        workers = [
            child.pid for child in psutil.Process(launcher.pid).children() if "genas.pipeline" in child.cmdline()
        ]
        assert len(workers) == 2
        yield launcher, workers
        launcher.kill()


@pytest.mark.slow
def test_when_it_is_stopped_all_processes_stop(endless: tuple[subprocess.Popen[str], list[int]]) -> None:
    launcher, workers = endless
    launcher.terminate()
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 143
    assert errors == ""
    assert not [worker for worker in workers if psutil.pid_exists(worker)]


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_of(endless: tuple[subprocess.Popen[str], list[int]]) -> None:
    launcher, workers = endless
    os.kill(workers[1], signal.SIGKILL)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + signal.SIGKILL
    assert "was ended by SIGKILL" in errors.splitlines()[-1]
    assert not [worker for worker in workers if psutil.pid_exists(worker)]


@pytest.mark.parametrize("asked", ["two", "0", "-1", "1.5", "9" * 30])
def test_a_wrong_number_of_processes_is_one_line(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_PROCESSES", asked)
    with pytest.raises(GenasError, match=f"GENAS_PROCESSES is '{asked}', expected a number of processes"):
        distributed.launch("retrain", {"row": "found"})

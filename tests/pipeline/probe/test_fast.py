"""The fast probe measures what the plain one does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from genas.models.errors import GenasError
from genas.models.fast.folded import calibrate
from genas.models.fast.native import build
from genas.models.fast.native import path as path_of_native
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline import measures
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe import fast as fast_probe
from genas.pipeline.probe.fast import FastProbe, make_probe, settled
from genas.pipeline.probe.plain import Probe
from tests.pipeline.measures.test_measures import PARAMS, initial, params, path, search_data, supernet

NAMES = ("accuracy", "flatness", "angle", "loss")


def changed(base: MeasureParams = PARAMS, **update: Any) -> MeasureParams:
    return base.model_copy(update=update)


def both(settings: MeasureParams, scorer: str = "fast") -> tuple[Probe, FastProbe]:
    fast = make_probe(supernet(1), search_data(), changed(settings, scorer=scorer), 0, initial(0))
    assert isinstance(fast, FastProbe)
    return Probe(supernet(1), search_data(), settings, 0, initial(0)), fast


SETTINGS = {
    "independent": PARAMS,
    "cumulative": params(noise="cumulative", draws=2),
    "cells": params(positions="cells"),
    "hessian": params(direction="hessian", hessian_iterations=3),
    "official": changed(recalibrate="official"),
    "odd batches": changed(images=7, batch_size=3, recalibrate_batch_size=7),
}


@pytest.mark.parametrize(
    ("scorer", "name"),
    [
        pytest.param(scorer, name, marks=pytest.mark.slow if name == "hessian" else ())
        for scorer in ("fast", "native")
        for name in SETTINGS
    ],
)
def test_all_measures_agree(scorer: str, name: str) -> None:
    if scorer == "native" and not shutil.which("cc"):
        pytest.skip("no C compiler")
    plain, fast = both(SETTINGS[name], scorer)
    for seed in range(1 if name == "hessian" else 3):
        expected, found = (measures.take(probe, path(seed), NAMES) for probe in (plain, fast))
        assert found == pytest.approx(expected, rel=2e-3 if name == "hessian" else 1e-4)


def test_the_network_is_left_alone() -> None:
    _, fast = both(PARAMS)
    before = {name: value.clone() for name, value in fast.network.state_dict().items()}
    measures.take(fast, path(0), NAMES)
    assert all(torch.equal(value, before[name]) for name, value in fast.network.state_dict().items())


def test_measures_of_one_architecture_share_its_recalibration(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(fast_probe.folded, "calibrate", lambda *args: seen.append(args[1]) or calibrate(*args))
    _, fast = both(PARAMS)
    for seed in (0, 1, 0):
        measures.take(fast, path(seed), NAMES)
    assert seen == [path(0), path(1), path(0)]


def test_what_was_measured_before_does_not_matter() -> None:
    _, fast = both(PARAMS)
    fresh = measures.take(fast, path(2), NAMES)
    measures.take(fast, path(1), NAMES)
    assert measures.take(fast, path(2), NAMES) == fresh


@pytest.mark.parametrize("scorer", ["fast", "native"])
def test_bfloat16_is_near(scorer: str) -> None:
    if scorer == "native" and not (shutil.which("cc") and build.multiplies_bfloat16()):
        pytest.skip("no C compiler or no AVX512-BF16")
    _, fast = both(PARAMS)
    _, rough = both(changed(precision="bfloat16"), scorer)
    exact, near = (measures.take(probe, path(0), ["accuracy"])["loss"] for probe in (fast, rough))
    assert near == pytest.approx(exact, rel=0.02)
    assert near != pytest.approx(exact, rel=1e-6)


def test_the_plain_scorer_computes_in_float32() -> None:
    with pytest.raises(ValueError, match="scorer plain computes in float32"):
        MeasureParams.model_validate({**PARAMS.model_dump(), "precision": "bfloat16"})


def test_native_says_at_once_where_it_cannot_run() -> None:
    settings = changed(scorer="native")
    with torch.device("meta"):
        network = Supernet(num_classes=4, channels=2, layers=3)
        data = search_data()._replace(held_images=torch.zeros(24, 3, 8, 8), held_labels=torch.zeros(24))
    with pytest.raises(GenasError, match="scorer native computes on a CPU, not on meta"):
        make_probe(network, data, settings, 0)


@pytest.mark.parametrize(
    ("asked", "precision", "space", "stem", "device", "found"),
    [
        ("auto", "float32", "darts", "cifar", "cpu", "native"),
        ("auto", "float32", "darts", "imagenet", "cpu", "fast"),
        ("auto", "float32", "nasbench201", "cifar", "cpu", "native"),
        ("auto", "float32", "darts", "cifar", "meta", "fast"),
        ("fast", "float32", "darts", "imagenet", "cpu", "fast"),
        ("plain", "float32", "darts", "cifar", "cpu", "plain"),
    ],
)
def test_auto_is_the_quickest_that_runs(
    asked: str, precision: str, space: str, stem: str, device: str, found: str
) -> None:
    if found == "native" and not shutil.which("cc"):
        pytest.skip("no C compiler")
    settings = changed(scorer=asked, precision=precision)
    assert settled(settings, space, torch.device(device), stem) == changed(scorer=found, precision=precision)


@pytest.mark.parametrize("there", [True, False])
def test_auto_takes_bfloat16_where_the_processor_has_it(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    monkeypatch.setattr(path_of_native, "multiplies_bfloat16", lambda: there)
    settings, cpu = changed(scorer="auto", precision="bfloat16"), torch.device("cpu")
    assert settled(settings, "darts", cpu).scorer == ("native" if there else "fast")
    named = changed(settings, scorer="native")
    if there:
        assert settled(named, "darts", cpu) == named
    else:
        with pytest.raises(GenasError, match="no AVX512-BF16 here for bfloat16; choose precision float32 or scorer"):
            settled(named, "darts", cpu)


def test_auto_needs_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "COMPILER", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for function in (build.machine, build.load):
        monkeypatch.setattr(build, function.__name__, function.__wrapped__)
    monkeypatch.setattr(path_of_native, "load", build.load)
    assert settled(changed(scorer="auto"), "darts", torch.device("cpu")).scorer == "fast"
    with pytest.raises(GenasError, match="scorer native needs a C compiler"):
        settled(changed(scorer="native"), "darts", torch.device("cpu"))


def test_nothing_waits_for_the_host_between_noises(monkeypatch: pytest.MonkeyPatch) -> None:
    """No number leaves the device while a candidate's noises are evaluated, however many batches there are."""
    _, fast = both(changed(batch_size=5))
    fast.recalibrate(path(0))
    taken: list[int] = []
    for name in ("item", "tolist", "__float__", "__bool__"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, _f=original: taken.append(self.numel()) or _f(self))
    for name in ("cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("numbers leave the device"))
    assert fast.outcomes(path(0), [{}, {}, {}]).shape == (3, 2, PARAMS.images)
    assert taken == []

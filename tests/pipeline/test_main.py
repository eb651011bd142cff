"""``python -m pipeline``: what it runs and leaves, and how it says no."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from models.errors import GenasError
from pipeline import __main__ as program
from pipeline import zoo
from pipeline.config import REPOSITORY
from tests.conftest import Tiny


def call(profile: Tiny, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The program in this process, in the profile's folder."""
    monkeypatch.chdir(profile.root)
    monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
    before = signal.getsignal(signal.SIGTERM)
    try:
        return program.main()
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "unknown stage '', expected one of data, supernet, zoo, search, rerank"),
        (["serch"], "unknown stage 'serch', expected one of"),
        (["search"], "stage search takes dataset=... metric=... seed=..."),
        (["search", "seed=0", "metric=angle", "dataset=small"], "stage search takes dataset=... metric=... seed=..."),
        (["search", "dataset=small", "metric=angle"], "stage search takes"),
        (["retrain", "row=found", "row=found"], "stage retrain takes row=..."),
        (["retrain", "row=found", "fast"], "stage retrain takes row=..."),
        (["report", "row=found"], "stage report takes no axes"),
        (["retrain", "row=lost"], "stage retrain has no row 'lost', params.yaml defines found, published"),
        (["search", "dataset=small", "metric=speed", "seed=0"], "stage search has no row 'small-speed-0'"),
        (["data", "dataset=../up"], "stage data has no row '../up'"),
        (["retrain", "row=found"], "genotype.json: no such genotype file"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(
    tiny: Tiny,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert call(tiny, monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_mistake_in_the_parameters_comes_before_anything_runs(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.change("measures", flatness__sigma=[0.2, 0.1])
    assert call(tiny, monkeypatch, "supernet", "dataset=small", "seed=0") == 2
    assert "params.yaml: measures.flatness: sigma must increase" in capsys.readouterr().err
    assert not (tiny.root / "out" / "supernet").exists()


def test_a_broken_image_in_a_loaders_worker_is_one_line_too(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo.run(tiny.context("zoo", row="darts_v2_c10"))
    assert call(tiny, monkeypatch, "data", "dataset=small_shift") == 0
    tiny.change("retrain", workers=1)
    tiny.change("recipes", short__epochs=1)
    assert call(tiny, monkeypatch, "retrain", "row=published") == 0
    broken = sorted((tiny.root / "out/data/small_shift/files/imagenet-a").rglob("*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:50])
    capsys.readouterr()
    assert call(tiny, monkeypatch, "shift", "row=published") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {broken}: not a readable image")
    assert err.count("\n") == 1


def test_a_stage_leaves_metrics_and_timing(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(tiny, monkeypatch, "zoo", "row=darts_v2_c10") == 0
    out = tiny.root / "out/zoo/darts_v2_c10"
    assert sorted(path.name for path in out.iterdir()) == ["genotype.json", "metrics.json", "timing.json"]
    assert json.loads((out / "metrics.json").read_text()) == {"macs": 530_678_560, "params": 4_718_752}
    assert json.loads((out / "timing.json").read_text())["device"] == "cpu"


def test_the_data_stage_leaves_nothing_that_changes_from_run_to_run(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(tiny, monkeypatch, "data", "dataset=small") == 0
    assert [path.name for path in (tiny.root / "out/data/small").iterdir()] == ["manifest.json"]


def test_another_exception_keeps_its_traceback(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(context: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(zoo, "run", broken)
    with pytest.raises(ZeroDivisionError):
        call(tiny, monkeypatch, "zoo", "row=darts_v2_c10")
    assert not (tiny.root / "out/zoo/darts_v2_c10/metrics.json").exists()


@pytest.mark.parametrize("stage", program.STAGES)
def test_every_stage_is_a_module_with_a_run(stage: str) -> None:
    source = REPOSITORY / (program.MODULES[stage].replace(".", "/") + ".py")
    assert "\ndef run(context: Context)" in source.read_text()


def test_the_axes_are_split_at_the_first_equals_sign() -> None:
    assert program.parse(["data", "dataset=a=b"]) == ("data", {"dataset": "a=b"})
    with pytest.raises(GenasError, match=r"stage data takes dataset=\.\.\."):
        program.parse(["data", "cifar10"])


@pytest.mark.slow
def test_as_a_process_it_stops_at_sigterm_and_goes_on_where_it_was(tiny: Tiny) -> None:
    """The bytes of a stopped and restarted process are those of one that ran through."""
    tiny.change("supernet", epochs=12)
    command = [sys.executable, "-m", "pipeline", "supernet", "dataset=small", "seed=0"]
    first = subprocess.Popen(command, cwd=tiny.root, stderr=subprocess.DEVNULL)
    scratch = tiny.root / ".scratch"
    while not list(scratch.glob("*/state.pt")):
        assert first.poll() is None
        time.sleep(0.02)
    first.terminate()
    assert first.wait(60) == 143
    assert not (tiny.root / "out/supernet/small-0/trained.safetensors").exists()
    subprocess.run(command, cwd=tiny.root, check=True, capture_output=True)
    resumed = tiny.bytes_of("supernet", "small-0", "trained.safetensors")
    subprocess.run(command, cwd=tiny.root, check=True, capture_output=True)
    assert tiny.bytes_of("supernet", "small-0", "trained.safetensors") == resumed

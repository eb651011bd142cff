"""``python -m genas.pipeline``: what it runs and leaves, and how it says no."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil
import pytest

from genas.models.errors import GenasError
from genas.pipeline import __main__ as program
from genas.pipeline import zoo
from genas.pipeline.config import REPOSITORY
from genas.pipeline.context import Context
from genas.pipeline.stages import STAGES
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
        ([], "unknown stage '', expected one of data, measures, supernet, search, reseed, rerank"),
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
    context = tiny.context("zoo", row="darts_v2_c10")
    context.notes["earlier"] = 30.0
    program.leave(context, None, 5.0)
    assert json.loads((out / "timing.json").read_text()) == {"seconds": 35.0, "device": "cpu", "earlier": 30.0}


def test_the_data_stage_leaves_nothing_that_changes_from_run_to_run(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(tiny, monkeypatch, "data", "dataset=small") == 0
    assert [path.name for path in (tiny.root / "out/data/small").iterdir()] == ["manifest.json"]


ZOO = ("zoo", "row=darts_v2_c10")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the zoo's stage write half a file and fail."""

    def broken(context: Context) -> None:
        (context.out / "genotype.json").write_text("{")
        raise error

    monkeypatch.setattr(zoo, "run", broken)


def test_what_lies_in_the_way_is_named(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny.root / "out" / "zoo").write_text("in the way")
    assert call(tiny, monkeypatch, *ZOO) == 1
    log = tiny.root / ".scratch/logs/zoo-darts_v2_c10.error.log"
    where = tiny.root / "out/zoo/darts_v2_c10"
    assert capsys.readouterr().err == f"error: {where}: not a directory (whole traceback: {log})\n"


@pytest.mark.parametrize("asked", [False, True])
def test_another_exception_is_one_line_and_its_traceback_lies_in_a_log(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: bool
) -> None:
    failing(monkeypatch, ZeroDivisionError("by\nzero"))
    monkeypatch.setenv("GENAS_TRACEBACK", str(int(asked)))
    assert call(tiny, monkeypatch, *ZOO) == 1
    log = tiny.root / ".scratch/logs/zoo-darts_v2_c10.error.log"
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"error: unexpected ZeroDivisionError: by zero (whole traceback: {log})"
    assert (len(lines) > 1) == asked
    for text in (log.read_text(), *["\n".join(lines)] * asked):
        assert "Traceback (most recent call last)" in text
        assert "in broken" in text
    assert not (tiny.root / "out/zoo/darts_v2_c10/metrics.json").exists()


def test_a_log_lies_elsewhere_where_the_profile_takes_none(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, KeyError("x" * 1000))
    (tiny.root / ".scratch").write_text("in the way")
    monkeypatch.setattr(tempfile, "tempdir", str(tiny.root))
    assert call(tiny, monkeypatch, *ZOO) == 1
    (log,) = tiny.root.glob("*.error.log")
    said = capsys.readouterr().err
    assert said.endswith(f"x... (whole traceback: {log})\n")
    assert len(said) < 600
    assert "x" * 1000 in log.read_text()


def from_full_disk() -> RuntimeError:
    """As torch.save raises it: what the disk said is the context of another error."""
    try:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EFBIG, os.strerror(errno.EFBIG)),  # ulimit -f
        from_full_disk(),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_full_disk_is_one_line_and_leaves_no_half_written_output(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    failing(monkeypatch, error)
    assert call(tiny, monkeypatch, *ZOO) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: no space left on the disk of {tiny.root} (")
    assert said.count("\n") == 1
    assert not (tiny.root / "out/zoo/darts_v2_c10").exists()


def test_an_interruption_is_no_error(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert call(tiny, monkeypatch, *ZOO) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_stage_ends_with_the_process_that_it_is_told_of(tiny: Tiny) -> None:
    """Also when that has ended before it begins; while it lives, so does the stage."""
    tiny.change("supernet", small__epochs=2000)
    command = [sys.executable, "-m", "genas.pipeline", "supernet", "dataset=small", "seed=0"]
    with subprocess.Popen(["sleep", "600"]) as parent:
        environment = {**os.environ, "GENAS_PARENT": str(parent.pid), "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, cwd=tiny.root, env=environment, stderr=subprocess.DEVNULL) as stage:
            while not list(tiny.root.glob(".scratch/*/state.pt")):
                assert stage.poll() is None
                time.sleep(0.02)
            parent.kill()  # a zombie, until it is waited for, is gone too
            assert stage.wait(60) == 143
    assert not psutil.pid_exists(parent.pid)
    late = subprocess.run(command, cwd=tiny.root, env=environment, stderr=subprocess.DEVNULL, check=False)
    assert late.returncode in (143, -signal.SIGTERM)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_module_with_a_run(stage: str) -> None:
    source = REPOSITORY / STAGES[stage].source
    assert "\ndef run(context: Context)" in source.read_text()


def test_the_axes_are_split_at_the_first_equals_sign() -> None:
    assert program.parse(["data", "dataset=a=b"]) == ("data", {"dataset": "a=b"})
    with pytest.raises(GenasError, match=r"stage data takes dataset=\.\.\."):
        program.parse(["data", "cifar10"])


@pytest.mark.slow
def test_as_a_process_it_stops_at_sigterm_and_goes_on_where_it_was(tiny: Tiny) -> None:
    """The bytes of a stopped and restarted process are those of one that ran through."""
    tiny.change("supernet", small__epochs=12)
    command = [sys.executable, "-m", "genas.pipeline", "supernet", "dataset=small", "seed=0"]
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

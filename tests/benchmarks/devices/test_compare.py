"""Every kind of step compared with itself on the CPU, and what is said where a device computes something else."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from typer.testing import CliRunner

from genas.benchmarks.devices.classification import Size
from genas.benchmarks.devices.compare import Comparison, Kind, Work, compare, largest_difference
from genas.benchmarks.devices.kinds import every_kind
from genas.flows import cli
from genas.flows.commands import doctor
from genas.models.errors import GenasError

pytestmark = pytest.mark.filterwarnings("ignore:Fail to import:UserWarning")  # MMCV without compiled operations

CPU = torch.device("cpu")
TINY = Size(
    channels=2,
    layers=3,
    cells=1,
    batch=4,
    images=8,
    width=4,
    depth=3,
    pictures=4,
    pixels=64,
    scenes=2,
    side=128,
    heads=8,
)
KINDS = every_kind(TINY)
QUICK = ("supernet", "NAS-Bench-201 supernet", "candidate, fast", "evaluation")


def compared(kinds: dict[str, Kind]) -> list[Comparison]:
    return list(compare(kinds, CPU, seconds=1e-3))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in KINDS]
)
def test_the_cpu_agrees_with_itself(name: str) -> None:
    (found,) = compared({name: KINDS[name]})
    assert found.ok, found.message
    assert found.message.startswith("0.0e+00 from the CPU's numbers (at most 0.")


def wrong_second_time(kind: Kind, factor: float) -> Kind:
    """A kind of step whose numbers are multiplied where it is made for the second time, which is on the device."""
    made = itertools.count()

    def make(device: torch.device) -> Work:
        work, by = kind.make(device), factor if next(made) else 1.0
        return work._replace(step=lambda: by * work.step())

    return kind._replace(make=make)


@pytest.mark.parametrize(("factor", "ok"), [(1.009, True), (1.011, False), (float("nan"), False), (-1.0, False)])
def test_a_device_that_computes_something_else_is_found_out(factor: float, ok: bool) -> None:
    (found,) = compared({"evaluation": wrong_second_time(KINDS["evaluation"], factor)})
    assert found.ok is ok, found.message


def test_a_number_that_is_none_is_never_near() -> None:
    assert largest_difference([1.0, 2.0], [1.0, 1.0]) == 1
    assert math.isnan(largest_difference([1.0, math.nan], [1.0, 1.0]))
    assert math.isnan(largest_difference([1.0, math.inf], [1.0, math.inf]))


def test_what_fails_is_one_line_and_the_others_still_run() -> None:
    def make(device: torch.device) -> Work:
        raise RuntimeError("CUDA error:\n  no kernel image")

    first, second = compared({"broken": Kind(make, 0.1), "evaluation": KINDS["evaluation"]})
    assert first == Comparison("broken", False, "RuntimeError: CUDA error: no kernel image")
    assert second.ok


def test_without_a_gpu_the_doctor_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_DEVICE", "cpu")
    with pytest.raises(GenasError, match=r"^doctor --gpu: no GPU: "):
        list(doctor.gpu())
    assert CliRunner().invoke(cli.app, ["doctor", "--gpu"]).exit_code != 0


@pytest.mark.parametrize(("factor", "status", "sign"), [(1.0, 0, "ok  "), (2.0, 1, "FAIL")])
def test_the_exit_status_tells_whether_all_agree(
    monkeypatch: pytest.MonkeyPatch, factor: float, status: int, sign: str
) -> None:
    """The command with the CPU in the place of a GPU."""
    kinds = {"evaluation": wrong_second_time(KINDS["evaluation"], factor)}
    monkeypatch.setattr(doctor, "gpu", lambda: (doctor.Finding(*each) for each in compare(kinds, CPU, seconds=1e-3)))
    said = CliRunner().invoke(cli.app, ["doctor", "--gpu"])
    assert (said.exit_code, said.stdout.partition(" evaluation: ")[0]) == (status, sign)

"""Seconds on a device, worked by hand, and on a machine whose rates are known."""

from __future__ import annotations

import pytest

from genas.models.errors import GenasError
from genas.pipeline.forecast import devices
from genas.pipeline.forecast.devices import CALL, DECODE, DEVICES, EFFICIENCY, SETUP, Device, device, load_seconds
from genas.pipeline.forecast.work import Load, Rate, Work

TOY = Device(half=200, single=100, bandwidth=10, memory=1e9, source="")


@pytest.mark.parametrize(
    ("load", "seconds"),
    [
        (Load("x", 1, 1, flops=1000), 10 / EFFICIENCY),
        (Load("x", 1, 1, flops=1000, half=True), 5 / EFFICIENCY),
        (Load("x", 1, 1, flops=1000, traffic=1000), 100 / EFFICIENCY),  # memory is slower
        (Load("x", 1, 1, flops=1000, calls=1e9), 1e9 * CALL),  # the start of kernels is
        (Load("x", 1, 1, flops=1000, files=1e6), 10 / EFFICIENCY + 1e6 * DECODE),  # nobody else decodes
        (Load("x", 1, 1, flops=1000, files=1e6, workers=4), 1e6 * DECODE / 4),  # others do, and are too slow
        (Load("x", 1, 1, flops=1000, files=1, workers=4), 10 / EFFICIENCY),
    ],
)
def test_a_step_waits_for_the_slowest(load: Load, seconds: float) -> None:
    assert load_seconds(load, TOY) == pytest.approx(seconds)


def test_a_row_is_its_loads_its_tables_and_its_setup() -> None:
    parts = (Load("x", 1, 1, flops=1000), Load("y", 1, 1, flops=2000))
    assert devices.seconds_on(Work(parts, seconds=7), TOY) == pytest.approx(30 / EFFICIENCY + 7 + SETUP)
    assert devices.seconds_on(Work(seconds=7), TOY) == 7


def test_measured_rates_go_with_operations_or_with_images() -> None:
    """x took 2 s an image of 10 operations, y 3 s an architecture; z was not measured, and runs like x."""
    rates = {"x": Rate(2, 10, setup=5), "y": Rate(3, 0)}
    loads = (Load("x", 1, 4, flops=80), Load("y", 4, 4), Load("z", 1, 1, flops=50))
    assert devices.measured_seconds(Work(loads, seconds=1), rates) == 1 + (5 + 2 * 8) + 3 * 4 + 50 * 2 / 10


@pytest.mark.parametrize("name", ["H100", "h100", "RTX 4090", "rtx-4090"])
def test_devices_have_their_names_in_any_spelling(name: str) -> None:
    assert device(name) in DEVICES.values()


def test_an_unknown_device_is_one_line() -> None:
    with pytest.raises(GenasError, match="unknown device 'H900', expected one of H100, A100, L4, RTX4090"):
        device("H900")


def test_every_device_names_its_source() -> None:
    for found in DEVICES.values():
        assert found.source
        assert found.half >= found.single > found.bandwidth > found.memory

"""How long work takes on a GPU that is not here: a roofline (Williams et al., 2009) of its published figures."""

from __future__ import annotations

from typing import NamedTuple

from genas.models.errors import GenasError
from genas.pipeline.forecast.work import Load, Rate, Work

EFFICIENCY = 0.5
"""Share of the published figures that a step is taken to reach, arithmetic and memory alike."""
CALL = 3e-5
"""Seconds of the host for a kernel that is counted, and what it brings with it; a step of many small ones waits for
these. Measured with an H100 and one core of a Xeon: 27 microseconds in the steps of a DARTS supernet of 8 channels and
5 cells, 34 in those of one of NAS-Bench-201 of 8 channels and one cell a stage."""
DECODE = 7e-3
"""Seconds of one core for an image from a file: decoding 500 x 375 pixels, cropping, resizing, augmenting; measured on
a core of an AMD EPYC (Zen 3): 4 to 6 ms with the official preprocessing, 7 to 8 ms with RandAugment."""
SETUP = 10.0
"""Seconds of a row before its first step."""
START_UP = 10.0
"""Seconds of a row's processes, DVC's and its own, before the row begins."""


class Device(NamedTuple):
    """Published peaks of dense arithmetic on tensor cores, in FLOP/s in 16 bits and in TF32, which float32 convolutions
    use; bytes a second and bytes of memory; where they stand."""

    half: float
    single: float
    bandwidth: float
    memory: float
    source: str


DEVICES = {
    "H100": Device(989e12, 494e12, 3.35e12, 80e9, "NVIDIA H100 datasheet, SXM"),
    "A100": Device(312e12, 156e12, 2.04e12, 80e9, "NVIDIA A100 datasheet, 80 GB SXM"),
    "L4": Device(121e12, 60e12, 0.3e12, 24e9, "NVIDIA L4 datasheet"),
    "RTX4090": Device(165e12, 82.6e12, 1.01e12, 24e9, "NVIDIA Ada GPU architecture whitepaper"),
}


def device(name: str) -> Device:
    """A device by its name, however it is written.

    Raises:
        GenasError: it is not known.
    """
    known = {key.lower(): value for key, value in DEVICES.items()}
    plain = name.lower().replace(" ", "").replace("-", "").replace("_", "")
    if plain not in known:
        raise GenasError(f"unknown device {name!r}, expected one of {', '.join(DEVICES)}")
    return known[plain]


def load_seconds(load: Load, device: Device) -> float:
    """The slowest of arithmetic, memory and the start of kernels, or the decoding of the images if that is slower."""
    peak = device.half if load.half else device.single
    busy = max(load.flops / peak, load.traffic / device.bandwidth) / EFFICIENCY
    decoding = load.files * DECODE / max(1, load.workers)
    computing = max(busy, load.calls * CALL)
    return max(computing, decoding) if load.workers else computing + decoding


def seconds_on(work: Work, device: Device) -> float:
    """A row's time on a device."""
    return work.seconds + sum(load_seconds(load, device) for load in work.loads) + (SETUP if work.loads else 0)


def measured_seconds(work: Work, rates: dict[str, Rate]) -> float:
    """A row's time where its kinds of steps were measured.

    A kind's time goes with its operations, or with its images where none are counted. A kind that was not measured is
    taken to run at the rate of all those together that were.
    """
    known = [rate for rate in rates.values() if rate.flops]
    usual = sum(rate.seconds for rate in known) / max(1.0, sum(rate.flops for rate in known))
    total = work.seconds
    for load in work.loads:
        rate = rates.get(load.kind)
        if rate is None:
            total += load.flops * usual
        else:
            total += rate.setup + rate.seconds * (load.flops / rate.flops if rate.flops else load.images)
    return total

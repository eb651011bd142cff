"""One kind of step after the other, on a device and on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from genas.benchmarks.workload import CPU

CHECKED = 2
"""Steps whose numbers are compared; what comes after them is timed."""
SECONDS = 3.0
"""For which a step is repeated on either side."""


class Work(NamedTuple):
    """A step, which gives a loss or a score, and how many images it takes."""

    step: Callable[[], Tensor | float]
    images: int


class Kind(NamedTuple):
    """A kind of step: how it is made ready on a device, and the largest relative difference of its numbers."""

    make: Callable[[torch.device], Work]
    tolerance: float


class Measured(NamedTuple):
    """The first numbers of a kind of step on a device, its images a second, and its peak memory there in MiB."""

    values: list[float]
    rate: float
    memory: float


class Comparison(NamedTuple):
    """How a kind of step did, and in words."""

    name: str
    ok: bool
    message: str


def rate_of(work: Work, seconds: float) -> float:
    """Steps a second, of as many as begin within so many seconds."""
    started, steps = time.perf_counter(), 0
    last: Tensor | float = 0.0
    while time.perf_counter() - started < seconds:
        last, steps = work.step(), steps + 1
    float(last)  # waits for the device
    return steps / (time.perf_counter() - started)


def measured(make: Callable[[torch.device], Work], device: torch.device, seconds: float) -> Measured:
    """Make a kind of step ready on a device, take its first numbers, then its time.

    Numbers are taken in whole float32: what a GPU rounds to ten bits (TF32), untrained networks amplify to percents.
    Time is taken as the stages run, after as long a time in which a device loads its kernels (on an H100 most
    of the first seconds of each kind).
    """
    there = device.type == "cuda"
    if there:
        torch.cuda.reset_peak_memory_stats(device)
    work = make(device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        values = [float(work.step()) for _ in range(CHECKED)]
    if there:
        rate_of(work, seconds)
    rate = rate_of(work, seconds) * work.images
    return Measured(values, rate, torch.cuda.max_memory_allocated(device) / 2**20 if there else float("nan"))


def largest_difference(found: list[float], expected: list[float]) -> float:
    """Of numbers, relative to those expected; not a number where one is not."""
    ours, theirs = torch.tensor([found, expected], dtype=torch.float64)
    return float((ours / theirs - 1).abs().max())


def compare(kinds: Mapping[str, Kind], device: torch.device, seconds: float = SECONDS) -> Iterator[Comparison]:
    """Every kind of step on the CPU and on the device, one after the other.

    What fails is said of its kind, and the others are still looked at.
    """
    for name, (make, tolerance) in kinds.items():
        try:
            here, there = (measured(make, place, seconds) for place in (CPU, device))
        except Exception as error:
            yield Comparison(name, False, " ".join(f"{type(error).__name__}: {error}".split())[:300])
            continue
        difference = largest_difference(there.values, here.values)
        message = (
            f"{difference:.1e} from the CPU's numbers (at most {tolerance:g}), {there.rate:.0f} images/s, "
            f"{there.rate / here.rate:.1f} times the CPU, {there.memory:.0f} MiB"
        )
        yield Comparison(name, difference <= tolerance, message)

"""Every kind of step, and how far a device may be from the CPU in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from genas.benchmarks.devices.classification import (
    Size,
    candidate,
    evaluation,
    nasbench201_step,
    retraining,
    supernet_step,
)
from genas.benchmarks.devices.compare import Kind, Work

SINGLE, HALF = 1e-2, 1e-1
"""Largest relative difference in float32, and in sixteen bits, whose rounding untrained networks amplify."""


def detector(size: Size, device: torch.device) -> Work:
    """See :func:`genas.benchmarks.devices.transfer.detector`; the frameworks are imported here, as one may be
    missing."""
    from genas.benchmarks.devices import transfer

    return transfer.detector(size, device)


def segmenter(size: Size, device: torch.device) -> Work:
    """See :func:`genas.benchmarks.devices.transfer.segmenter`."""
    from genas.benchmarks.devices import transfer

    return transfer.segmenter(size, device)


def every_kind(size: Size = Size()) -> dict[str, Kind]:  # noqa: B008
    """By name, each of a size."""
    makers: dict[str, tuple[Callable[..., Work], float]] = {
        "supernet": (supernet_step, SINGLE),
        "NAS-Bench-201 supernet": (nasbench201_step, SINGLE),
        "candidate, plain": (partial(candidate, scorer="plain"), SINGLE),
        "candidate, fast": (partial(candidate, scorer="fast"), SINGLE),
        "retraining, float32": (partial(retraining, precision="float32"), SINGLE),
        "retraining, bfloat16": (partial(retraining, precision="bfloat16"), HALF),
        "retraining, float16": (partial(retraining, precision="float16"), HALF),
        "evaluation": (evaluation, SINGLE),
        "detector": (detector, SINGLE),
        "segmenter": (segmenter, SINGLE),
    }
    return {name: Kind(partial(make, size), tolerance) for name, (make, tolerance) in makers.items()}

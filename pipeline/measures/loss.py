"""Validation loss of a path after BatchNorm recalibration: the control of flatness, whose depth term it nearly is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genas.pipeline.config import MeasureParams
from genas.pipeline.measures import Array

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture
    from genas.pipeline.probe.plain import Probe


def observe(probe: Probe, architecture: Architecture, part: slice, params: MeasureParams) -> Array:
    """Cross-entropy (nats) of each of n images, (1, n)."""
    return probe.outcomes(architecture, [{}], part)[:, 0].double().cpu().numpy()


def summarise(means: Array, params: MeasureParams) -> dict[str, Array]:
    """Mean cross-entropy in nats."""
    return {"loss": means[0]}


def scale(params: MeasureParams) -> float:
    """-1: a smaller loss is better."""
    return -1.0

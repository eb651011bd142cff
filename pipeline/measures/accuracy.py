"""Validation accuracy of a path, the measure of SPOS (Guo et al., 2020), after BatchNorm recalibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genas.pipeline.config import MeasureParams
from genas.pipeline.measures import Array

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture
    from genas.pipeline.probe.plain import Probe


def observe(probe: Probe, architecture: Architecture, part: slice, params: MeasureParams) -> Array:
    """Rightness and cross-entropy (nats) of each of n images, (2, n)."""
    loss, right = probe.outcomes(architecture, [{}], part)[0].double().cpu().numpy()
    return np.stack([right, loss])


def summarise(means: Array, params: MeasureParams) -> dict[str, Array]:
    """Accuracy in [0, 1], and the validation loss beside it."""
    accuracy, loss = means
    return {"accuracy": accuracy, "loss": loss}


def scale(params: MeasureParams) -> float:
    """Accuracy enters a sum as it is."""
    return 1.0

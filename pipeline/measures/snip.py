"""SNIP (Lee et al., 2019) as a measure (Abdelfattah et al., Zero-Cost Proxies, 2021): how much a first step matters."""

from __future__ import annotations

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import initial_gradients


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """Sum of |w dL/dw| over the convolutions and the classifier, before training."""
    return {"snip": sum(float((w * g).abs().sum()) for w, g in initial_gradients(probe, architecture))}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

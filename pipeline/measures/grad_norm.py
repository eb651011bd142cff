"""The norm of the gradient before training (Abdelfattah et al., Zero-Cost Proxies, 2021)."""

from __future__ import annotations

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import initial_gradients


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """Sum of the Euclidean norms of dL/dw of each convolution and of the classifier."""
    return {"grad_norm": sum(float(gradient.norm()) for _, gradient in initial_gradients(probe, architecture))}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

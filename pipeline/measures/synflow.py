"""Synaptic flow (Tanaka et al., 2020) as a measure (Abdelfattah et al., Zero-Cost Proxies, 2021)."""

from __future__ import annotations

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import initial_network, synaptic_flow


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The flow through the weights before training, as its logarithm."""
    return {"synflow": synaptic_flow(probe, initial_network(probe, architecture), architecture)}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

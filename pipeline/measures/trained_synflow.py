"""Synaptic flow through trained weights: how much of its capacity a path has put to use.

It is part of the rank sum that the NAS-Bench-201 laboratory found best (``docs/nasbench201.md``).
"""

from __future__ import annotations

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import synaptic_flow


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The flow through the weights after training, as its logarithm."""
    return {"trained_synflow": synaptic_flow(probe, probe.network, architecture)}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

"""Multiply-adds of an architecture's network at its full size: a control that looks at no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genas.pipeline.config import MeasureParams

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture
    from genas.pipeline.probe.plain import Probe


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """Multiply-adds for one image; the larger network is taken for the better one."""
    return {"macs": float(probe.network.reference_cost(architecture).macs)}


def scale(params: MeasureParams) -> float:
    """Multiply-adds enter a sum in millions."""
    return 1e-6

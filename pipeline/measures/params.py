"""Number of parameters of an architecture's network at its full size: a control that looks at no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genas.pipeline.config import MeasureParams

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture
    from genas.pipeline.probe.plain import Probe


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """Trainable numbers without the auxiliary head; the larger network is taken for the better one."""
    return {"params": float(probe.network.reference_cost(architecture).params)}


def scale(params: MeasureParams) -> float:
    """Parameters enter a sum in millions."""
    return 1e-6

"""Number of parameters of a candidate's ImageNet network: a control that needs no supernet at all."""

from __future__ import annotations

from models.cost import imagenet_cost
from models.genotype import Genotype
from pipeline.config import MeasureParams
from pipeline.probe import Probe


def measure(probe: Probe, genotype: Genotype) -> dict[str, float]:
    """Trainable numbers without the auxiliary head; the larger network is taken for the better one."""
    return {"params": float(imagenet_cost(genotype).params)}


def scale(params: MeasureParams) -> float:
    """Parameters enter a sum in millions."""
    return 1e-6

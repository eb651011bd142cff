"""Multiply-adds of a candidate's ImageNet network: a control that needs no supernet at all."""

from __future__ import annotations

from models.cost import imagenet_cost
from models.genotype import Genotype
from pipeline.config import MeasureParams
from pipeline.probe import Probe


def measure(probe: Probe, genotype: Genotype) -> dict[str, float]:
    """Multiply-adds for one image of 224 pixels; the larger network is taken for the better one."""
    return {"macs": float(imagenet_cost(genotype).macs)}


def scale(params: MeasureParams) -> float:
    """Multiply-adds enter a sum in millions."""
    return 1e-6

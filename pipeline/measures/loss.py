"""Validation loss of a path after BatchNorm recalibration: the control of flatness, whose depth term it nearly is."""

from __future__ import annotations

from models.genotype import Genotype
from pipeline.config import MeasureParams
from pipeline.probe import Probe


def measure(probe: Probe, genotype: Genotype) -> dict[str, float]:
    """Mean cross-entropy in nats."""
    probe.recalibrate(genotype)
    return {"loss": probe.evaluate(genotype)[0]}


def scale(params: MeasureParams) -> float:
    """-1: a smaller loss is better."""
    return -1.0

"""Validation accuracy of a path, the measure of SPOS (Guo et al., 2020), after BatchNorm recalibration."""

from __future__ import annotations

from models.genotype import Genotype
from pipeline.config import MeasureParams
from pipeline.probe import Probe


def measure(probe: Probe, genotype: Genotype) -> dict[str, float]:
    """Accuracy in [0, 1], and the validation loss beside it."""
    probe.recalibrate(genotype)
    loss, accuracy = probe.evaluate(genotype)
    return {"accuracy": accuracy, "loss": loss}


def scale(params: MeasureParams) -> float:
    """Accuracy enters a sum as it is."""
    return 1.0

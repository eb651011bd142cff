"""Search measures by name: the modules of this folder that :data:`pipeline.config.MEASURES` lists.

A new measure is one module with the two functions of :class:`Measure`, and its name in that list.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from models.genotype import Genotype
from pipeline.config import MEASURES, MeasureParams
from pipeline.probe import Probe


class Measure(Protocol):
    """What a measure's module offers."""

    def measure(self, probe: Probe, genotype: Genotype) -> dict[str, float]:
        """The measure under its own name, larger is better, and any terms worth keeping beside it."""

    def scale(self, params: MeasureParams) -> float:
        """The factor that brings the measure to the scale on which metrics are added up (Eq. 5)."""


def get(name: str) -> Measure:
    """The module of a measure."""
    assert name in MEASURES, f"{name} passed the validation of params.yaml"
    return cast(Measure, import_module(f"pipeline.measures.{name}"))


def take(probe: Probe, genotype: Genotype, terms: Mapping[str, float]) -> dict[str, float]:
    """Every measure that a metric's terms name, with all they keep."""
    values: dict[str, float] = {}
    for name in terms:
        values |= get(name).measure(probe, genotype)
    return values


def combine(values: Mapping[str, float], terms: Mapping[str, float], params: MeasureParams) -> float:
    """Eq. 5: the weighted sum of the scaled measures, for example angle / pi + gamma * flatness / sigma_1."""
    return sum(weight * get(name).scale(params) * values[name] for name, weight in terms.items())

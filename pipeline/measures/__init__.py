"""Search measures by name: the modules of this folder, and those that installed packages offer (entry points of the
group ``genas.measures``).

A new measure is one module with the functions of :class:`Measure`; one that is a mean over
images, or made of such means, offers those of :class:`ImageMeasure` instead of ``measure``, and early decisions then
work on it too (:mod:`genas.pipeline.scoring.early`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genas.pipeline.config import MeasureParams, MetricParams, measure_module

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture
    from genas.pipeline.probe.plain import Probe

Array = NDArray[np.float64]
ZERO_COST = ("synflow", "snip", "grad_norm", "naswot")
"""The measures that ask for no training (Abdelfattah et al., Zero-Cost Proxies, 2021; Mellor et al., 2021)."""


class Measure(Protocol):
    """What a measure's module offers."""

    def measure(self, probe: Probe, architecture: Architecture) -> dict[str, float]:
        """The measure under its own name, in its own unit, and any terms worth keeping beside it."""

    def scale(self, params: MeasureParams) -> float:
        """The factor that brings the measure to the scale on which metrics are added up (Eq. 5): larger is better."""


@runtime_checkable
class ImageMeasure(Protocol):
    """What the module of a measure offers that is a function of means over held-out images."""

    def observe(self, probe: Probe, architecture: Architecture, part: slice, params: MeasureParams) -> Array:
        """What is seen of each of n images, (quantities, n), under ``params``; the path is recalibrated."""

    def summarise(self, means: Array, params: MeasureParams) -> dict[str, Array]:
        """What :meth:`Measure.measure` returns, from means (quantities, ...) over images, elementwise in the rest."""

    def scale(self, params: MeasureParams) -> float:
        """As that of :class:`Measure`."""


def get(name: str) -> Measure | ImageMeasure:
    """The module of a measure."""
    return cast(Measure | ImageMeasure, import_module(measure_module(name)))


def mean_over(seen: Array, params: MeasureParams) -> Array:
    """Means (quantities,) of what was seen of n images, (quantities, n); or, as the official code has it, means of the
    means of batches, in which the images of a smaller last one count more."""
    if params.mean == "images":
        return np.asarray(seen.mean(1))
    batches = np.split(seen, range(params.batch_size, seen.shape[1], params.batch_size), axis=1)
    return np.asarray(np.mean([batch.mean(1) for batch in batches], axis=0))


def measure(name: str, probe: Probe, architecture: Architecture) -> dict[str, float]:
    """A measure of an architecture, and what it keeps beside it."""
    module = get(name)
    if not isinstance(module, ImageMeasure):
        return module.measure(probe, architecture)
    probe.recalibrate(architecture)
    means = mean_over(module.observe(probe, architecture, slice(None), probe.params), probe.params)
    return {term: float(value) for term, value in module.summarise(means, probe.params).items()}


def take(probe: Probe, architecture: Architecture, terms: Iterable[str]) -> dict[str, float]:
    """Every measure that is named, with all they keep; what another one has kept already is not taken twice."""
    values: dict[str, float] = {}
    for name in terms:
        if name not in values:
            values |= measure(name, probe, architecture)
    return values


def scaled(values: Mapping[str, ArrayLike], name: str, params: MeasureParams) -> NDArray[np.float64]:
    """The values of one measure on the scale on which metrics are added up."""
    return get(name).scale(params) * np.asarray(values[name], dtype=np.float64)


def combine(values: Mapping[str, ArrayLike], metric: MetricParams, params: MeasureParams) -> NDArray[np.float64]:
    """The score of every candidate.

    Args:
        values: for each measure, its value for each of n candidates.
        metric: ``sum`` is Eq. 5, the weighted sum of the scaled measures, for example
            angle / pi + gamma * flatness / sigma_1; ``rank`` sums ranks among the n instead, 1/n for the worst and 1
            for the best, ties on their average, so that no measure's scale matters; ``log_rank`` their logarithms, so
            that what one measure finds bad is bad (AZ-NAS, Lee and Ham, 2024).
        params: the measures' settings.

    Returns:
        n scores, larger is better.
    """
    terms = {name: scaled(values, name, params) for name in metric.terms}
    if metric.combine != "sum":
        from scipy.stats import rankdata

        terms = {name: rankdata(term) / len(term) for name, term in terms.items()}
    if metric.combine == "log_rank":
        terms = {name: np.log(term) for name, term in terms.items()}
    return np.sum([weight * terms[name] for name, weight in metric.terms.items()], axis=0, dtype=np.float64)

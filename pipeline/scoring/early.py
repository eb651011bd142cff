"""Early decisions: a candidate that cannot reach the parents any more is not scored to the end.

Measures that are means over held-out images are taken on a growing number of them, the same for every candidate. After
each round the candidate is compared with the bar, the last of the parents, on the images that both have seen: the
difference of their scores has a standard error, from the jackknife over images (Efron and Stein, 1981) and corrected
for the share of the images already seen, and common images and noise make it small. A candidate whose difference
stays below zero by more than the chosen confidence is dropped. What it would have scored is never known, so this is
for speed and not for reproducing a full search.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline import measures
from genas.pipeline.config import EarlyParams, MeasureParams, MetricParams
from genas.pipeline.measures import Array, ImageMeasure
from genas.pipeline.probe.plain import Probe


class Evidence(NamedTuple):
    """What has been seen of an architecture: for each measure over images (quantities, n), for the others a value."""

    images: dict[str, Array]
    values: dict[str, float]

    def first(self, count: int) -> Evidence:
        """As it was after the first ``count`` images."""
        return Evidence({name: seen[:, :count] for name, seen in self.images.items()}, self.values)

    def as_tensors(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """For a scratch file."""
        return {name: torch.from_numpy(seen) for name, seen in self.images.items()}, self.values

    @classmethod
    def from_tensors(cls, images: Mapping[str, Tensor], values: dict[str, float]) -> Evidence:
        """What :meth:`as_tensors` wrote."""
        return cls({name: seen.numpy() for name, seen in images.items()}, values)

    def measured(self, params: MeasureParams) -> dict[str, float]:
        """All measures, with what they keep beside them."""
        measured = dict(self.values)
        for name, seen in self.images.items():
            measured |= {
                term: float(value) for term, value in summary(name, measures.mean_over(seen, params), params).items()
            }
        return measured


def summary(name: str, means: Array, params: MeasureParams) -> Mapping[str, Array]:
    """What a measure makes of its means over images."""
    module = measures.get(name)
    assert isinstance(module, ImageMeasure)
    return module.summarise(means, params)


def influences(evidence: Evidence, metric: MetricParams, params: MeasureParams) -> tuple[float, Array]:
    """The score over n images, and how much each of them moves it, (n,): n - 1 times what leaving it out changes."""
    count = next(seen.shape[1] for seen in evidence.images.values())
    of_all: dict[str, Array] = {name: np.array([value]) for name, value in evidence.values.items()}
    without: dict[str, Array] = {name: np.full(count, value) for name, value in evidence.values.items()}
    for name, seen in evidence.images.items():
        means = seen.mean(1, keepdims=True)
        of_all |= summary(name, means, params)
        without |= summary(name, (count * means - seen) / (count - 1), params)
    score = float(measures.combine(of_all, metric, params)[0])
    return score, (count - 1) * (score - measures.combine(without, metric, params))


def reach(
    evidence: Evidence, bar: Evidence, total: int, metric: MetricParams, params: MeasureParams, confidence: float
) -> float:
    """The most by which a candidate may yet exceed the bar, at a confidence (one-sided, normal).

    Args:
        evidence: the candidate after its first n images.
        bar: another one after at least as many.
        total: images that both will have seen in the end.
        metric: what scores them.
        params: the measures' settings.
        confidence: that the truth is not above.
    """
    count = next(seen.shape[1] for seen in evidence.images.values())
    score, moves = influences(evidence, metric, params)
    bar_score, bar_moves = influences(bar.first(count), metric, params)
    error = np.std(moves - bar_moves, ddof=1) / np.sqrt(count) * np.sqrt(1 - count / total)
    return float(score - bar_score + NormalDist().inv_cdf(confidence) * error)


def rounds(early: EarlyParams, total: int) -> list[int]:
    """After how many images a candidate is looked at, all of them last."""
    return sorted({max(2, int(share * total)) for share in early.shares} | {total})


def take_early(
    probe: Probe, architecture: Architecture, metric: MetricParams, early: EarlyParams, bar: Evidence | None
) -> tuple[dict[str, Any], Evidence]:
    """Take a metric's measures of an architecture, over as many images as it is worth.

    Returns:
        The measures, with ``images``, how many were seen, and ``dropped``, whether they are fewer than all; and what
        was seen of each image.
    """
    total = len(probe.labels)
    modules = {name: module for name in metric.terms if isinstance(module := measures.get(name), ImageMeasure)}
    evidence = Evidence({}, measures.take(probe, architecture, [name for name in metric.terms if name not in modules]))
    if modules:
        probe.recalibrate(architecture)
    start, dropped = 0, False
    for stop in rounds(early, total) if modules else [total]:
        known: set[str] = set()
        for name, module in modules.items():
            if name not in known:  # else another measure keeps it beside its own
                new = module.observe(probe, architecture, slice(start, stop), probe.params)
                evidence.images[name] = np.concatenate([evidence.images[name], new], 1) if start else new
                known |= module.summarise(new.mean(1), probe.params).keys()
        start = stop
        if bar is not None and stop < total:
            dropped = reach(evidence, bar, total, metric, probe.params, early.confidence) < 0
            if dropped:
                break
    return {**evidence.measured(probe.params), "images": start, "dropped": dropped}, evidence

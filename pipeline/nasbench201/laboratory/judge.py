"""Runs of one data set against one truth: estimates with their spread over seeds and their intervals over
architectures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.nasbench201.laboratory.ranking import Array, Resamples, interval, precision, spearman, tau
from pipeline.nasbench201.laboratory.scores import Score, Stored

Part = slice | NDArray[np.intp]
"""Which architectures."""


class Estimate(NamedTuple):
    """A mean over seeds, the standard deviation over them (0 of one seed), and the mean in each bootstrap sample."""

    value: float
    spread: float
    samples: Array

    @classmethod
    def of(cls, values: Sequence[float], samples: Sequence[Array]) -> Estimate:
        """From each seed's value and bootstrap samples."""
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls(float(np.mean(values)), spread, np.mean(samples, axis=0))

    def less(self, other: Estimate) -> Estimate:
        """The difference, sample by sample; it has no spread of its own."""
        return Estimate(self.value - other.value, 0.0, self.samples - other.samples)

    def row(self) -> dict[str, float]:
        """As columns of a table."""
        low, high = interval(self.samples)
        return {"value": self.value, "low": low, "high": high, "spread": self.spread}


class Judge:
    """What scores of runs are compared with.

    Args:
        runs: the runs of a data set, a seed each, with the same architectures.
        truth: accuracies, (n,).
        top: K of the precision.
        resamples: bootstrap samples.
        part: which of the architectures count.
    """

    def __init__(
        self,
        runs: Sequence[Stored],
        truth: Array,
        top: int,
        resamples: int,
        part: slice | NDArray[np.intp] = slice(None),
    ) -> None:
        self.runs, self.truth, self.part = list(runs), truth[part], part
        self.top = min(top, len(self.truth))
        self.drawn = Resamples(resamples, len(self.truth), seed=201)

    def scores(self, score: Score) -> list[Array]:
        """Of the architectures that count, for each run."""
        return [score(run)[self.part] for run in self.runs]

    def _estimate(self, score: Score, value: Callable[..., float], samples: Callable[..., Array]) -> Estimate:
        scores = self.scores(score)
        return Estimate.of([value(run, self.truth) for run in scores], [samples(run, self.truth) for run in scores])

    def tau(self, score: Score) -> Estimate:
        """Kendall's tau-b with the truth."""
        return self._estimate(score, tau, self.drawn.tau)

    def spearman(self, score: Score) -> Estimate:
        """Spearman's rho with the truth."""
        return self._estimate(score, spearman, self.drawn.spearman)

    def precision(self, score: Score) -> Estimate:
        """The share of the K best by score that are among the K best in truth."""
        return self._estimate(
            score,
            lambda scores, truth: precision(scores, truth, self.top),
            lambda scores, truth: self.drawn.precision(scores, truth, self.top),
        )

    def agreement(self, first: Score, second: Score) -> Estimate:
        """Kendall's tau-b between two scores of the same runs."""
        pairs = list(zip(self.scores(first), self.scores(second), strict=True))
        return Estimate.of([tau(*pair) for pair in pairs], [self.drawn.tau(*pair) for pair in pairs])

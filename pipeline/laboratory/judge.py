"""Runs of one data set against one truth: estimates with their spread over supernet seeds, and with intervals over
seeds and architectures both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from genas.pipeline.laboratory.ranking import Array, partial
from genas.pipeline.laboratory.resampling import Resamples, resamples
from genas.pipeline.laboratory.scores import Score, Stored

Part = slice | NDArray[np.intp]
"""Which architectures."""
SIGNED, SHARE = (-1.0, 1.0), (0.0, 1.0)
"""What correlations and shares lie between."""
TENTH = 10
"""The best architectures in truth, among which tau is taken once more, are one of so many."""


class Estimate(NamedTuple):
    """A statistic of each supernet seed in each sample of architectures, (seeds, samples); how often each seed is drawn
    in each sample, (samples, seeds); and the lowest and highest value that the statistic can have. The first sample is
    the set itself, with every seed once."""

    of_seeds: Array
    drawn: Array
    bounds: tuple[float, float]

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(self.of_seeds[:, 0].mean())

    @property
    def spread(self) -> float:
        """The standard deviation over seeds; 0 of one."""
        return float(self.of_seeds[:, 0].std(ddof=1)) if len(self.of_seeds) > 1 else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The nested percentile interval: seeds are drawn with replacement, then architectures; of one seed it is over
        architectures only.

        What a draw of S seeds changes is taken of the set itself and added to what a draw of architectures changes of
        the mean over seeds: both drawn together would count noise of single readings thrice (Owen, 2007). A draw of S
        seeds varies too little by the factor (S - 1) / S, and a percentile knows nothing of how roughly a few seeds
        tell their variance (Hesterberg, 2015). So the part of the seeds is scaled by the root of S / (S - 1), and the
        whole by Student's t over the normal quantile, its degrees of freedom those of the two variances together
        (Satterthwaite, 1946): many where architectures are what is uncertain, S - 1 where seeds are.
        """
        seeds, samples = len(self.of_seeds), self.of_seeds.mean(0)[1:]
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        if seeds > 1:
            values = self.of_seeds[:, 0]
            part = (self.drawn[1:] - 1) @ values / seeds * np.sqrt(seeds / (seeds - 1))
            variance = values.var(ddof=1) / seeds
            if variance > 0:
                freedom = (samples.var() + variance) ** 2 * (seeds - 1) / variance**2
                both = samples + part
                samples = both.mean() + (both - both.mean()) * t.ppf(tails[1], freedom) / norm.ppf(tails[1])
        low, high = np.clip(np.quantile(samples, tails), *self.bounds)
        return float(low), float(high)

    def less(self, other: Estimate) -> Estimate:
        """The difference, seed by seed and sample by sample."""
        (low, high), (lowest, highest) = self.bounds, other.bounds
        return Estimate(self.of_seeds - other.of_seeds, self.drawn, (low - highest, high - lowest))

    def row(self) -> dict[str, float]:
        """As columns of a table."""
        low, high = self.interval()
        return {"value": self.value, "low": low, "high": high, "spread": self.spread}


class Judge:
    """What scores of runs are compared with.

    Args:
        runs: the runs of a data set, a supernet seed each, with the same architectures.
        truth: accuracies of all of them in percent, or what else is to be foretold, (n,).
        top: K of the statistics of the K best.
        count: bootstrap samples.
        part: which of the architectures count.
    """

    def __init__(self, runs: Sequence[Stored], truth: Array, top: int, count: int, part: Part | None = None) -> None:
        self.runs, self.whole, self.count = list(runs), truth, count
        self.part = np.arange(len(truth))[slice(None) if part is None else part]
        self.truth, self.top = truth[self.part], min(top, len(self.part))
        self.drawn: Resamples = resamples(count, len(self.part))
        self.seeds = self.drawn.seeds(len(self.runs))
        self.known: dict[tuple[Score, Score], Estimate] = {}

    def target(self, run: Stored) -> Array:
        """The truth, as a score of a run."""
        return self.whole

    def against(self, truth: Array) -> Judge:
        """The same architectures of the same runs against another truth, (n,); what scores have in common among
        themselves is not computed again."""
        other = Judge(self.runs, truth, self.top, self.count, self.part)
        other.known = self.known
        return other

    def among(self, part: ArrayLike) -> Judge:
        """The same truth on some of the architectures, places (m,) among all those of the runs."""
        return Judge(self.runs, self.whole, self.top, self.count, np.asarray(part, dtype=np.intp))

    def scores(self, score: Score) -> list[Array]:
        """Of the architectures that count, for each run."""
        return [score(run)[self.part] for run in self.runs]

    def estimate(self, score: Score, samples: Callable[[Array], Array], bounds: tuple[float, float]) -> Estimate:
        """A statistic of a score between two bounds, which ``samples`` gives in each sample."""
        return Estimate(np.stack([samples(scores) for scores in self.scores(score)]), self.seeds, bounds)

    def agreement(self, first: Score, second: Score) -> Estimate:
        """Kendall's tau-b between two scores of the same runs."""
        if (first, second) not in self.known:
            pairs = zip(self.scores(first), self.scores(second), strict=True)
            made = Estimate(np.stack([self.drawn.tau(*pair) for pair in pairs]), self.seeds, SIGNED)
            self.known[first, second] = self.known[second, first] = made
        return self.known[first, second]

    def tau(self, score: Score) -> Estimate:
        """Kendall's tau-b with the truth."""
        return self.agreement(score, self.target)

    def partial(self, score: Score, given: Sequence[Score]) -> Estimate:
        """Partial tau with the truth, other scores held fixed (:func:`~.ranking.partial`)."""
        names = [score, self.target, *given]
        taus = np.ones((len(self.runs), len(self.seeds), len(names), len(names)))
        for i, first in enumerate(names):
            for j, second in enumerate(names[:i]):
                taus[..., i, j] = taus[..., j, i] = self.agreement(first, second).of_seeds
        return Estimate(partial(taus), self.seeds, SIGNED)

    def within(self, score: Score, strata: NDArray[np.intp]) -> Estimate:
        """Kendall's tau-b with the truth over pairs of the same stratum, labels of all architectures (n,)."""
        labels = strata[self.part]
        return self.estimate(score, lambda scores: self.drawn.tau(scores, self.truth, labels), SIGNED)

    def spearman(self, score: Score) -> Estimate:
        """Spearman's rho with the truth."""
        return self.estimate(score, lambda scores: self.drawn.spearman(scores, self.truth), SIGNED)

    def precision(self, score: Score) -> Estimate:
        """The share of the K best by score that are among the K best in truth."""
        return self.estimate(score, lambda scores: self.drawn.precision(scores, self.truth, self.top), SHARE)

    def ndcg(self, score: Score) -> Estimate:
        """Normalised discounted cumulative gain of the K best by score."""
        return self.estimate(score, lambda scores: self.drawn.ndcg(scores, self.truth, self.top), SHARE)

    def pick(self, score: Score) -> Estimate:
        """The truth of the one with the highest score."""
        bounds = (float(self.truth.min()), float(self.truth.max()))
        return self.estimate(score, lambda scores: self.drawn.pick(scores, self.truth), bounds)

    def regret(self, score: Score) -> Estimate:
        """By how much the best truth there is exceeds that of the one with the highest score."""
        best = self.drawn.best(self.truth)
        bounds = (0.0, float(np.ptp(self.truth)))
        return self.estimate(score, lambda scores: best - self.drawn.pick(scores, self.truth), bounds)

    def best(self) -> Judge:
        """The same on the best tenth in truth."""
        order = self.part[np.argsort(-self.truth, kind="stable")]
        return self.among(np.sort(order[: max(2, len(order) // TENTH)]))

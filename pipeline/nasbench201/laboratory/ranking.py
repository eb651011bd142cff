"""How well scores rank architectures, and how sure that is: pure functions of scores and truths.

Intervals come from the bootstrap over architectures (Efron, 1979), with the same resamples for every score, so that
differences of two have intervals too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata, spearmanr

Array = NDArray[np.float64]
BLOCK = 1024
"""Architectures whose pairs are in memory at a time."""


def tau(scores: Array, truth: Array) -> float:
    """Kendall's tau-b (Kendall, 1945); 0 where all scores are equal."""
    value = float(kendalltau(scores, truth).statistic)
    return 0.0 if np.isnan(value) else value


def spearman(scores: Array, truth: Array) -> float:
    """Spearman's rho; 0 where all scores are equal."""
    if np.ptp(scores) == 0:
        return 0.0
    return float(spearmanr(scores, truth).statistic)


def precision(scores: Array, truth: Array, top: int) -> float:
    """How many of the ``top`` highest scores are among the ``top`` highest truths, as a share. Ties count in part: each
    of the tied has the same chance to be among the highest."""
    return float(_share(scores, top) @ _share(truth, top) / top)


def _share(values: Array, top: int) -> Array:
    """The chance of each value to be among the ``top`` highest, ties broken at random; (n,)."""
    last = np.partition(values, len(values) - top)[len(values) - top]
    above, tied = values > last, values == last
    return above + tied * (top - above.sum()) / tied.sum()


def rank_sum(*scores: Array) -> Array:
    """Sum of the ranks by each score, ties on their average, in units of n."""
    return np.sum([rankdata(score) / len(score) for score in scores], axis=0)


class Resamples:
    """Bootstrap samples of architectures, the same for every score.

    Args:
        count: how many samples.
        size: architectures in each.
        seed: of the draws.
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.index = np.random.default_rng(seed).integers(size, size=(count, size))
        self.counts = np.stack([np.bincount(row, minlength=size) for row in self.index]).astype(np.float32)

    def tau(self, scores: Array, truth: Array) -> Array:
        """:func:`tau` in each sample: over pairs, each as often as it is drawn."""
        both, by_score, by_truth = (np.zeros(len(self.counts)) for _ in range(3))
        for start in range(0, len(scores), BLOCK):
            part = slice(start, start + BLOCK)
            first = np.sign(scores[part, None] - scores).astype(np.float32)
            second = np.sign(truth[part, None] - truth).astype(np.float32)
            for total, pairs in ((both, first * second), (by_score, np.abs(first)), (by_truth, np.abs(second))):
                total += np.einsum("bi,bi->b", self.counts[:, part], self.counts @ pairs.T, dtype=np.float64)
        norm = np.sqrt(by_score * by_truth)
        return np.divide(both, norm, out=np.zeros_like(both), where=norm > 0)

    def spearman(self, scores: Array, truth: Array) -> Array:
        """:func:`spearman` in each sample."""
        first, second = (rankdata(values[self.index], axis=1) for values in (scores, truth))
        first, second = (ranks - ranks.mean(1, keepdims=True) for ranks in (first, second))
        norm = np.sqrt((first**2).sum(1) * (second**2).sum(1))
        return np.divide((first * second).sum(1), norm, out=np.zeros(len(norm)), where=norm > 0)

    def precision(self, scores: Array, truth: Array, top: int) -> Array:
        """:func:`precision` in each sample."""
        return np.array([precision(scores[row], truth[row], top) for row in self.index])


def interval(samples: Array, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of bootstrap samples."""
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)

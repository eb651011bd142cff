"""Rank statistics of a set of architectures and, at the same time, of bootstrap samples of it (Efron, 1979).

The samples are the same for every score, so that differences of two have intervals too. A sample is nothing but how
often each architecture is in it, and statistics are sums over architectures, pairs or groups of equal values with
these counts as weights. The first "sample" has every architecture once, so its statistics are the values themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from genas.pipeline.laboratory.ranking import Array, concordance

BLOCK = 128
"""Architectures whose counts are turned into double precision at a time."""
SAMPLES = 128
"""Samples whose ranks are in memory at a time: they stay in a core's caches."""
EXACT = 2048
"""Architectures above which tau of a sample is taken to first order in the counts: the rest is of order 1 / n."""


Counts = NDArray[np.float32]
"""How often each architecture is in each sample, (n, samples)."""


class Groups(NamedTuple):
    """Equal values stand together, the highest first: the places of architectures in that order, where each group of it
    begins, and, in each sample, how many of the sample are in a group and how many stand above it, (groups, samples).
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    sizes: NDArray[np.floating[Any]]
    above: NDArray[np.floating[Any]]

    def spread(self, values: NDArray[np.floating[Any]], count: int) -> NDArray[np.floating[Any]]:
        """What is known of groups, (groups, samples), told of ``count`` architectures, (count, samples); 0 of those in
        none."""
        lengths = np.diff(np.append(self.starts, len(self.order)))
        told = np.zeros((count, values.shape[1]), values.dtype)
        told[self.order] = np.repeat(values, lengths, axis=0) if len(lengths) < len(self.order) else values
        return told


def _added(values: NDArray[np.floating[Any]], starts: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
    """Rows (n, samples) added up within groups of neighbours, (groups, samples)."""
    return values if len(starts) == len(values) else np.add.reduceat(values, starts)


class Resamples:
    """Bootstrap samples of architectures.

    Args:
        count: how many samples beside the first, which is the set itself.
        size: architectures in each.
        seed: of the draws.
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        index = np.random.default_rng(seed).integers(size, size=(count, size))
        drawn = [np.bincount(row, minlength=size) for row in index]
        self.size = size
        self.counts = np.stack([np.ones(size, dtype=np.intp), *drawn], axis=1).astype(np.float32)
        self.pairs_of_one = np.square(self.counts).sum(0, dtype=np.float64)
        self.alike: dict[bytes, Array] = {}
        """Ordered pairs of equals in each sample, by the labels that say who is equal."""
        self.ranked: tuple[Array, list[Counts]] | None = None
        """The truth that scores were last compared with, and its ranks."""

    def groups(
        self, values: NDArray[np.float64] | NDArray[np.intp], top: int | None = None, part: slice = slice(None)
    ) -> Groups:
        """Architectures by their values (n,), in all samples or a ``part`` of them; with ``top``, only as many groups
        as hold the ``top`` highest of every sample."""
        counts, order = self.counts[:, part], np.argsort(-values, kind="stable")
        starts = np.flatnonzero(np.diff(values[order], prepend=np.inf))
        if top is not None:
            last = np.searchsorted(starts, 4 * top + 30)
            if last < len(starts) and counts[order[: starts[last]]].sum(0).min() >= top:
                order, starts = order[: starts[last]], starts[:last]
        sizes = _added(counts[order], starts)
        return Groups(order, starts, sizes, sizes.cumsum(0) - sizes)

    def _alike(self, values: Array, strata: NDArray[np.intp] | None) -> Array:
        """Ordered pairs of one stratum that have the same value, in each sample."""
        labels = np.unique(values, return_inverse=True)[1]
        if strata is not None:
            labels = np.unique(labels * (strata.max() + 1) + strata, return_inverse=True)[1]
        key = labels.tobytes()
        if key not in self.alike:  # of a truth, for each score
            self.alike[key] = self._pairs_of_equals(labels)
        return self.alike[key]

    def _pairs_of_equals(self, labels: NDArray[np.intp]) -> Array:
        """Ordered pairs with the same label, in each sample."""
        tied = np.flatnonzero(np.bincount(labels)[labels] > 1)
        if not len(tied):
            return self.pairs_of_one
        tied = tied[np.argsort(labels[tied], kind="stable")]
        counts, starts = self.counts[tied], np.flatnonzero(np.diff(labels[tied], prepend=-1))
        more = np.square(_added(counts, starts)).sum(0, dtype=np.float64) - np.square(counts).sum(0, dtype=np.float64)
        return np.asarray(self.pairs_of_one + more)

    def tau(self, scores: Array, truth: Array, strata: NDArray[np.intp] | None = None) -> Array:
        """Kendall's tau-b in each sample, over pairs as often as they are drawn; with ``strata`` (n,), labels of
        architectures from 0, over pairs of the same one alone. 0 where nothing is left to order."""
        pairs = self.size**2 if strata is None else self._alike(np.zeros(self.size), strata)
        norm = np.sqrt((pairs - self._alike(scores, strata)) * (pairs - self._alike(truth, strata)))
        both = self._concordance(scores, truth, strata)
        return np.divide(both, norm, out=np.zeros_like(both), where=norm > 0)

    def _concordance(self, scores: Array, truth: Array, strata: NDArray[np.intp] | None) -> Array:
        """Concordant less discordant ordered pairs of one stratum, in each sample."""
        if self.size > EXACT:  # sum of c_i c_j with c = 1 + d, without the products of two d
            of_each = concordance(scores, truth, strata)
            parts = (slice(start, start + BLOCK) for start in range(0, self.size, BLOCK))
            return np.asarray(2 * sum(of_each[part] @ self.counts[part] for part in parts) - of_each.sum())
        order = np.sign(scores[:, None] - scores).astype(np.float32)
        order *= np.sign(truth[:, None] - truth)
        if strata is not None:
            order *= strata[:, None] == strata
        return np.einsum("ib,ib->b", self.counts, order @ self.counts, dtype=np.float64)

    def spearman(self, scores: Array, truth: Array) -> Array:
        """Spearman's rho in each sample, ties on their average; 0 where all scores are equal."""
        if self.ranked is None or not np.array_equal(self.ranked[0], truth):  # the same for many scores
            self.ranked = truth, [self._centred(truth, part) for part in self._parts()]
        pairs = zip(self._parts(), self.ranked[1], strict=True)
        return np.concatenate([self._correlation(part, self._centred(scores, part), known) for part, known in pairs])

    def _parts(self) -> list[slice]:
        """The samples in parts that stay in a core's caches."""
        return [slice(start, start + SAMPLES) for start in range(0, self.counts.shape[1], SAMPLES)]

    def _centred(self, values: Array, part: slice) -> Counts:
        """Ranks in each sample of a part less their mean, (n, samples), the highest value's the lowest: whole numbers
        and halves, which single precision holds."""
        groups = self.groups(values, part=part)
        ranks = groups.above + groups.sizes / 2
        ranks -= self.size / 2
        return groups.spread(ranks, self.size)

    def _correlation(self, part: slice, first: Counts, second: Counts) -> Array:
        """Of two centred ranks in each sample of a part."""
        counts = self.counts[:, part]
        both, one, two = (
            np.einsum("is,is,is->s", counts, a, b, dtype=np.float64)
            for a, b in ((first, second), (first, first), (second, second))
        )
        norm = np.sqrt(one * two)
        return np.divide(both, norm, out=np.zeros_like(both), where=norm > 0)

    def highest(self, scores: Array, gains: NDArray[np.floating[Any]], discounts: Array) -> Array:
        """The discounted sum of the gains of the K highest by score, in each sample. Of tied ones each has the same
        chance of each of their places.

        Args:
            scores: (n,).
            gains: (n, 1) or, where they differ from sample to sample, (n, samples).
            discounts: of the places, (K,).
        """
        places = len(discounts)
        groups = self.groups(scores, top=places)
        until = np.concatenate([[0.0], np.cumsum(discounts)])
        first, last = (np.minimum(ends, places).astype(np.intp) for ends in (groups.above, groups.above + groups.sizes))
        taken = until[last] - until[first]
        mean = np.divide(taken, groups.sizes, out=np.zeros_like(taken), where=groups.sizes > 0)
        gained = _added(self.counts[groups.order] * gains[groups.order], groups.starts)
        return np.asarray((mean * gained).sum(0))

    def precision(self, scores: Array, truth: Array, top: int) -> Array:
        """The share of the K highest by score that are among the K highest in truth, in each sample; tied ones count by
        their chance to be among them."""
        groups = self.groups(truth, top)
        fits = np.clip(top - groups.above, 0, groups.sizes)
        chance = np.divide(fits, groups.sizes, out=np.zeros_like(fits), where=groups.sizes > 0)
        return self.highest(scores, groups.spread(chance, self.size), np.ones(top)) / top

    def ndcg(self, scores: Array, truth: Array, top: int) -> Array:
        """Normalised discounted cumulative gain of the K highest by score (Järvelin and Kekäläinen, 2002), in each
        sample: place i counts 1 / log2(1 + i), and an architecture's gain is the share of the whole set, in truth, that
        is below it, half of what is level with it counted. 1 is the true order, about one half is chance."""
        gains = (rankdata(truth)[:, None] - 0.5) / self.size
        discounts = 1 / np.log2(np.arange(top) + 2)
        return self.highest(scores, gains, discounts) / self.highest(truth, gains, discounts)

    def pick(self, scores: Array, truth: Array) -> Array:
        """The truth of the architecture with the highest score, in each sample; the mean where several have it."""
        return self.highest(scores, truth[:, None], np.ones(1))

    def best(self, truth: Array) -> Array:
        """The highest truth, in each sample."""
        return self.pick(truth, truth)

    def seeds(self, count: int) -> Array:
        """How often each of ``count`` supernet seeds is in each sample, (samples, seeds)."""
        drawn = np.random.default_rng([count, 201]).multinomial(
            count, np.full(count, 1 / count), self.counts.shape[1] - 1
        )
        return np.concatenate([np.ones((1, count)), drawn])


@lru_cache(maxsize=4)
def resamples(count: int, size: int, seed: int = 201) -> Resamples:
    """The samples that all scores of as many architectures share."""
    return Resamples(count, size, seed)

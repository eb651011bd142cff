"""How well scores rank architectures: pure functions of scores and truths. How sure that is says
:mod:`genas.pipeline.laboratory.resampling`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

Array = NDArray[np.float64]
DIGITS = 12
"""Behind the point, to which sums of logarithms are right."""


def tau(scores: Array, truth: Array) -> float:
    """Kendall's tau-b (Kendall, 1945); 0 where all scores are equal."""
    value = float(kendalltau(scores, truth).statistic)
    return 0.0 if np.isnan(value) else value


def smaller_before(keys: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each of a permutation of 0 to n - 1, how many smaller ones stand before it, (n,).

    Bit by bit from the highest: what shares all higher bits stands together, in the order given, and one with a 1 has
    before it those with a 0 that stand there before it. So it takes n log n steps instead of n^2.
    """
    places = np.arange(len(keys))
    found, order = np.zeros_like(places), places
    for bit in reversed(range(len(keys).bit_length())):
        now = keys[order]
        one, begin = (now >> bit & 1).astype(bool), now >> bit + 1 << bit + 1
        zeros = np.cumsum(~one) - ~one
        zeros = zeros - zeros[begin]
        found[order[one]] += zeros[one]
        before, order = order, np.empty_like(order)
        order[np.where(one, (now >> bit << bit) + places - begin - zeros, begin + zeros)] = before
    return found


def below(scores: Array, truth: Array) -> NDArray[np.intp]:
    """How many have both a lower score and a lower truth than each architecture, (n,)."""
    order, key = np.lexsort((-truth, scores)), np.empty(len(scores), dtype=np.intp)
    arrived = np.empty_like(key)
    arrived[order] = np.arange(len(order))
    key[np.lexsort((-arrived, truth))] = np.arange(len(order))  # of equal truths, who comes first is not below
    found = np.empty_like(key)
    found[order] = smaller_before(key[order])
    return found


def concordance(scores: Array, truth: Array, strata: NDArray[np.intp] | None = None) -> Array:
    """How many of the others are ordered as each architecture's score and truth say, less how many are ordered the
    other way, (n,); with ``strata`` (n,), of the others with the same label."""
    if strata is not None:
        found = np.empty(len(scores))
        for label in np.unique(strata):
            inside = strata == label
            found[inside] = concordance(scores[inside], truth[inside])
        return found
    alike = below(scores, truth) + below(-scores, -truth)
    return (alike - below(scores, -truth) - below(-scores, truth)).astype(np.float64)


def partial(taus: Array) -> Array:
    """Partial tau of the first two variables, the others held fixed.

    Kendall's own (1942), the formula for correlations with taus in it, is not zero where the two have nothing in common
    but the others (Korn, 1984). So taus are first turned into the correlations of a Gaussian copula, sin(pi tau / 2)
    (Greiner, 1909; Liu et al., 2012), which the formula is right for, and the result into a tau again. With the vectors
    a and b of the correlations of the two with the others, and the matrix G of the others among themselves, it is
    (r - a' G+ b) / sqrt((1 - a' G+ a) (1 - b' G+ b)), G+ the pseudo-inverse, so that controls which order alike count
    as one. 0 where one of the two orders as the controls do.

    Args:
        taus: matrices (..., k, k) of tau-b between k variables.
    """
    linear = np.sin(np.pi / 2 * taus)
    inverse = np.linalg.pinv(linear[..., 2:, 2:], rcond=1e-6, hermitian=True)
    inside = linear[..., :2, :2] - linear[..., :2, 2:] @ inverse @ linear[..., 2:, :2]
    norm = inside[..., 0, 0] * inside[..., 1, 1]
    known = (inside[..., 0, 0] > 1e-6) & (inside[..., 1, 1] > 1e-6)
    left = np.divide(inside[..., 0, 1], np.sqrt(np.where(known, norm, 1)), out=np.zeros_like(norm), where=known)
    return np.asarray(2 / np.pi * np.arcsin(np.clip(left, -1, 1)))


def rank_sum(*scores: Array) -> Array:
    """Sum of the ranks by each score, ties on their average, in units of n. Equal sums are equal."""
    return np.sum([rankdata(score) for score in scores], axis=0) / len(scores[0])


def log_rank_sum(*scores: Array) -> Array:
    """Sum of ln(rank / n) by each score, ties on their average (AZ-NAS, VKDNW): an architecture that one score finds
    bad is bad, however good it is by the others. Equal products of ranks are equal."""
    return np.round(np.sum([np.log(rankdata(score) / len(score)) for score in scores], axis=0), DIGITS)


def pick(scores: Array, truth: Array) -> float:
    """The truth of the architecture with the highest score; the mean where several have it."""
    return float(truth[scores == scores.max()].mean())


def signs(values: Array) -> tuple[NDArray[np.float32], Array]:
    """The order of each pair of architectures. With those of scores and of truths, ``a @ b.T`` counts concordant less
    discordant pairs, exactly, and over the product of the norms it is tau-b.

    Args:
        values: (m, n), a row of ranks for each score.

    Returns:
        -1, 0 or 1, (m, n (n - 1) / 2), and roots of the numbers of pairs that are not tied, (m,); 1 where all are.
    """
    first, second = np.triu_indices(values.shape[1], 1)
    values = values.astype(np.float32)
    order = np.sign(values[:, first] - values[:, second])
    return order, np.sqrt(np.maximum(np.count_nonzero(order, axis=1), 1))

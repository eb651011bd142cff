"""Rank statistics by hand, in bootstrap samples, and intervals that hold over supernet seeds and architectures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from genas.pipeline.config import PROFILES, load_params
from genas.pipeline.laboratory import resampling
from genas.pipeline.laboratory.judge import Estimate, Judge
from genas.pipeline.laboratory.questions.chance import mean_taus, tried
from genas.pipeline.laboratory.ranking import (
    concordance,
    log_rank_sum,
    partial,
    pick,
    rank_sum,
    signs,
    smaller_before,
    tau,
)
from genas.pipeline.laboratory.resampling import Resamples
from genas.pipeline.laboratory.scores import Stored

Array = NDArray[np.float64]
SCORES, TRUTH = np.array([1.0, 3.0, 2.0, 4.0]), np.array([10.0, 20.0, 30.0, 40.0])
values = st.lists(st.integers(0, 6), min_size=4, max_size=20).map(lambda x: np.array(x, dtype=np.float64))


def alone(size: int) -> Resamples:
    """The set itself, and no other sample."""
    return Resamples(0, size, 0)


def samples(count: int, size: int, seed: int) -> tuple[Resamples, list[NDArray[np.intp]]]:
    """Bootstrap samples, and what they are made of, the first of the set itself."""
    rows = np.random.default_rng(seed).integers(size, size=(count, size))
    return Resamples(count, size, seed), [np.arange(size), *rows]


# ---- by hand --------------------------------------------------------------------------------------------------------


def test_rank_statistics_by_hand() -> None:
    """Five pairs agree and one does not: tau 4/6; ranks 1, 3, 2, 4 against 1 to 4: rho 1 - 6 * 2 / 60."""
    one = alone(4)
    assert tau(SCORES, TRUTH) == pytest.approx(4 / 6)
    assert one.tau(SCORES, TRUTH) == pytest.approx([4 / 6])
    assert one.spearman(SCORES, TRUTH) == pytest.approx([0.8])
    assert one.precision(SCORES, TRUTH, 1).tolist() == [1]
    assert one.precision(SCORES, TRUTH, 2).tolist() == [0.5]
    assert tau(np.ones(4), TRUTH) == one.tau(np.ones(4), TRUTH)[0] == one.spearman(np.ones(4), TRUTH)[0] == 0


@given(st.permutations(range(9)))
def test_smaller_ones_before_are_those_that_one_counts(keys: list[int]) -> None:
    expected = [sum(other < key for other in keys[:place]) for place, key in enumerate(keys)]
    assert smaller_before(np.array(keys)).tolist() == expected


@given(values, values, st.integers(1, 3))
def test_concordance_is_that_of_all_pairs(scores: Array, truth: Array, labels: int) -> None:
    scores, truth = scores[: len(truth)], truth[: len(scores)]
    strata = np.arange(len(scores)) % labels
    order = np.sign(scores[:, None] - scores) * np.sign(truth[:, None] - truth)
    assert concordance(scores, truth).tolist() == order.sum(1).tolist()
    assert concordance(scores, truth, strata).tolist() == (order * (strata[:, None] == strata)).sum(1).tolist()


def test_ties_at_the_edge_of_the_top_count_in_part() -> None:
    """Two of three equal scores fit behind the best one: each has a chance of 1/2 for the last place."""
    scores, truth = np.array([9.0, 5.0, 5.0, 0.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert alone(4).precision(scores, truth, 2) == pytest.approx([(1 + 0.5) / 2])


def test_gain_is_discounted_by_place() -> None:
    """Gains of four are 1/8, 3/8, 5/8, 7/8. By score the best comes first and the second worst next, in truth the
    second best; the second place counts 1 / log2(3)."""
    second = 1 / np.log2(3)
    expected = (7 / 8 + second * 3 / 8) / (7 / 8 + second * 5 / 8)
    assert alone(4).ndcg(SCORES, TRUTH, 2) == pytest.approx([expected])
    assert alone(4).ndcg(TRUTH, TRUTH, 3) == pytest.approx([1])


def test_the_pick_is_the_mean_of_those_that_are_level() -> None:
    scores, truth = np.array([2.0, 7.0, 7.0, 1.0]), np.array([90.0, 80.0, 60.0, 95.0])
    assert pick(scores, truth) == alone(4).pick(scores, truth)[0] == 70
    assert alone(4).best(truth)[0] == 95


def test_rank_sums_do_not_know_scales() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=20), rng.normal(size=20)
    for joined in (rank_sum, log_rank_sum):
        assert joined(first, second).tolist() == pytest.approx(joined(1e3 * first, np.exp(second)).tolist())


def test_logarithmic_ranks_by_hand() -> None:
    """Ranks 1, 2, 3 and 3, 2, 1 of three: ln(3 / 9) at the ends, ln(4 / 9) in the middle, where both are fair."""
    found = log_rank_sum(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0]))
    assert found == pytest.approx(np.log([3 / 9, 4 / 9, 3 / 9]))


def test_partial_tau_by_hand() -> None:
    """Taus of 1/3, 2/3 and 1/3 are correlations of 0.5, sqrt(3) / 2 and 0.5; what is left of the first is
    (0.5 - sqrt(3) / 4) / sqrt(1/4 * 3/4). A control that orders as another one changes nothing, and what orders as a
    control has nothing left."""
    taus = np.array([[1, 1 / 3, 2 / 3], [1 / 3, 1, 1 / 3], [2 / 3, 1 / 3, 1]])
    expected = 2 / np.pi * np.arcsin((0.5 - np.sqrt(3) / 4) / np.sqrt(3 / 16))
    assert partial(taus) == pytest.approx(expected)
    twice = taus[np.ix_([0, 1, 2, 2], [0, 1, 2, 2])]
    assert partial(np.stack([twice, twice])) == pytest.approx([expected, expected])
    assert partial(taus[np.ix_([2, 1, 2], [2, 1, 2])]) == 0
    assert partial(np.array([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])) == pytest.approx(0.5)


def test_what_two_have_in_common_with_a_third_alone_leaves_no_partial_tau() -> None:
    """Correlations of 0.981, 0.707 and their product; Kendall's own formula would leave (0.488 - 0.874 * 0.5) /
    sqrt((1 - 0.874^2) * 0.75) = 0.12."""
    rng = np.random.default_rng(0)
    third = rng.normal(size=4000)
    columns = [third + 0.2 * rng.normal(size=4000), third + rng.normal(size=4000), third]
    taus = np.array([[tau(a, b) for a in columns] for b in columns])
    assert abs(partial(taus)) < 0.03
    kendall = (taus[0, 1] - taus[0, 2] * taus[1, 2]) / np.sqrt((1 - taus[0, 2] ** 2) * (1 - taus[1, 2] ** 2))
    assert kendall == pytest.approx(0.12, abs=0.02)


def test_tau_inside_strata_counts_their_pairs_alone() -> None:
    """Of (1, 2 | 3, 1) against (1, 2 | 3, 4) one pair agrees and one does not; without the bar, two of six do not."""
    scores, truth = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert alone(4).tau(scores, truth) == pytest.approx([4 / 6])
    assert alone(4).tau(scores, truth, np.array([0, 0, 1, 1])) == pytest.approx([0])
    assert alone(4).tau(scores, truth, np.array([0, 0, 1, 2])) == pytest.approx([1])
    assert alone(4).tau(scores, truth, np.arange(4)).tolist() == [0]


# ---- samples --------------------------------------------------------------------------------------------------------


@given(values, st.integers(0, 100))
def test_statistics_of_samples_are_those_of_the_resampled_data(truth: Array, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, strata = rng.integers(0, 5, len(truth)).astype(np.float64), rng.integers(0, 2, len(truth))
    drawn, rows = samples(4, len(truth), seed)
    taus, rhos, inside = drawn.tau(scores, truth), drawn.spearman(scores, truth), drawn.tau(scores, truth, strata)
    tops, picks = drawn.precision(scores, truth, 2), drawn.pick(scores, truth)
    for i, row in enumerate(rows):
        a, b = scores[row], truth[row]
        assert tops[i] == pytest.approx(alone(len(row)).precision(a, b, 2)[0], abs=1e-6)
        assert picks[i] == pytest.approx(pick(a, b), abs=1e-6)
        same = strata[row][:, None] == strata[row]
        order, other = np.sign(a[:, None] - a) * same, np.sign(b[:, None] - b) * same
        norm = np.sqrt((order**2).sum() * (other**2).sum())
        assert inside[i] == pytest.approx((order * other).sum() / norm if norm else 0, abs=1e-6)
        if np.ptp(a) and np.ptp(b):
            assert taus[i] == pytest.approx(kendalltau(a, b).statistic, abs=1e-6)
            assert rhos[i] == pytest.approx(spearmanr(a, b).statistic, abs=1e-6)
        else:
            assert taus[i] == rhos[i] == 0


def test_many_architectures_are_resampled_to_first_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are exact, and the spread of samples is that of the exact ones to some percent."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    scores, drawn = truth + rng.normal(size=300), Resamples(400, 300, 0)
    exact = drawn.tau(scores, truth)
    monkeypatch.setattr(resampling, "EXACT", 100)
    monkeypatch.setattr(resampling, "BLOCK", 128)
    rough = drawn.tau(scores, truth)
    assert rough[0] == pytest.approx(exact[0])
    assert rough[1:].std() == pytest.approx(exact[1:].std(), rel=0.05)
    assert np.corrcoef(rough[1:], exact[1:])[0, 1] > 0.98


# ---- intervals ------------------------------------------------------------------------------------------------------


FREE = (-np.inf, np.inf)


def test_estimates_average_seeds_and_spread_over_them() -> None:
    drawn = np.array([[1.0, 1.0], [2.0, 0.0]])
    both = Estimate(np.array([[0.4, 0.3], [0.6, 0.5]]), drawn, (-1, 1))
    assert (both.value, both.spread) == pytest.approx((0.5, np.sqrt(0.02)))
    other = Estimate(np.array([[0.1, 0.0], [0.1, 0.2]]), drawn, (0, 1))
    assert both.less(other).of_seeds == pytest.approx(np.array([[0.3, 0.3], [0.5, 0.3]]))
    assert both.less(other).bounds == (-2, 1)
    assert Estimate(np.array([[0.1, 0.0, 0.2]]), np.ones((3, 1)), FREE).spread == 0


def test_an_interval_of_what_no_seed_changes_is_that_over_architectures() -> None:
    rows = np.random.default_rng(0).normal(size=500)
    alike = Estimate(np.stack([rows, rows, rows]), Resamples(499, 5, 0).seeds(3), FREE)
    alone = Estimate(rows[None], np.ones((500, 1)), FREE)
    assert alike.interval() == pytest.approx(alone.interval())
    assert alone._replace(bounds=(-0.5, 1.0)).interval() == (-0.5, 1.0)


def test_an_interval_of_what_no_architecture_changes_is_students() -> None:
    """Of ten seeds as wide as 2.262 standard errors to both sides; percentiles keep what is askew in the values."""
    values = np.random.default_rng(1).normal(size=10)
    only = Estimate(np.repeat(values[:, None], 4001, axis=1), Resamples(4000, 2, 0).seeds(10), FREE)
    low, high = only.interval()
    assert high - low == pytest.approx(2 * 2.262 * values.std(ddof=1) / np.sqrt(10), rel=0.05)
    assert low < only.value < high


def simulated(seed: int, seeds: int, size: int, between: float) -> tuple[list[Array], Array]:
    """Supernets whose scores see the truth more or less well, each in its own way, and with noise of its own."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=size)
    return [(0.8 + between * rng.normal()) * truth + rng.normal(size=size) for _ in range(seeds)], truth


def expected_tau(between: float) -> float:
    """Kendall's tau of such scores, over all seeds there could be: 2 / pi arcsin of the correlation."""
    slope = 0.8 + between * np.random.default_rng(0).normal(size=100_000)
    return float(np.mean(2 / np.pi * np.arcsin(slope / np.sqrt(slope**2 + 1))))


def coverage(trials: int, seeds: int, between: float) -> tuple[float, float]:
    """How often the nested interval holds the true tau, and how often one over architectures alone does."""
    true, settings = expected_tau(between), load_params(PROFILES["mini"]).nasbench201.required
    held = np.zeros(2)
    for trial in range(trials):
        columns, truth = simulated(trial, seeds, 60, between)
        runs = [Stored(pd.DataFrame({"x": column}), settings) for column in columns]
        estimate = Judge(runs, truth, 5, 300).tau(lambda run: run.column("x"))
        average = Estimate(estimate.of_seeds.mean(0, keepdims=True), np.ones((301, 1)), FREE)
        for i, (low, high) in enumerate((estimate.interval(), average.interval())):
            held[i] += low <= true <= high
    nested, only = held / trials
    return float(nested), float(only)


def test_the_interval_of_one_seed_covers_over_architectures() -> None:
    nested, only = coverage(100, 1, 0.0)
    assert nested == only
    assert 0.88 <= nested <= 1


def test_intervals_hold_over_seeds_where_these_differ() -> None:
    """Those over architectures alone do not."""
    nested, only = coverage(60, 5, 0.5)
    assert 0.88 <= nested <= 1
    assert only < 0.75


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "between"), [(3, 0.3), (5, 0.0), (5, 0.15), (5, 0.5), (10, 0.3)])
def test_nested_intervals_cover_at_the_nominal_rate(seeds: int, between: float) -> None:
    """95 % to within three standard errors of 400 trials below, and not much above."""
    assert 0.917 <= coverage(400, seeds, between)[0] <= 0.99


# ---- the best of many -----------------------------------------------------------------------------------------------


def test_taus_of_many_sums_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    runs = [np.stack([rng.permutation(12) + 1.0 for _ in range(3)]) for _ in range(2)]
    runs[0][0] = np.ceil(runs[0][0] / 3)
    truths, sums = rng.integers(0, 6, (4, 12)).astype(np.float64), [(0,), (1, 2), (0, 1, 2)]
    found = mean_taus(runs, sums, truths)
    for i, places in enumerate(sums):
        for j, truth in enumerate(truths):
            assert found[i, j] == pytest.approx(np.mean([tau(run[list(places)].sum(0), truth) for run in runs]))
    assert signs(np.ones((1, 5)))[1].tolist() == [1]


def test_the_best_by_chance_is_the_mean_maximum() -> None:
    taus = np.array([[0.5, 0.1, -0.3], [0.2, 0.0, 0.3]])
    found = tried("measures", "cifar10", ["a", "b"], taus)
    assert (found["tried"], found["best"], found["tau"]) == (2, "a", 0.5)
    assert found["by chance"] == pytest.approx((0.1 + 0.3) / 2)

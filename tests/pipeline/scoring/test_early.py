"""Early decisions: the interval by hand, the right candidates dropped, and a search that keeps its best."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from genas.models.errors import GenasError
from genas.pipeline import measures
from genas.pipeline.config import EarlyParams
from genas.pipeline.probe.fast import make_probe
from genas.pipeline.scoring.early import Evidence, influences, reach, take_early
from genas.pipeline.search import stage as search
from tests.conftest import Killed, Tiny, kill_at, metric_of
from tests.pipeline.measures.test_measures import PARAMS, initial, path, search_data, supernet

LOSS = metric_of({"loss": 1})
EARLY = EarlyParams(shares=(0.25, 0.5), confidence=0.95)
ROW = {"dataset": "small", "metric": "angle_flatness", "seed": "0"}


def seen(*losses: float) -> Evidence:
    return Evidence({"loss": np.array([losses])}, {})


def test_the_influence_on_a_mean_is_the_deviation_from_it() -> None:
    score, moved = influences(seen(1.0, 2.0, 6.0), LOSS, PARAMS)
    assert score == pytest.approx(-3.0)
    assert moved == pytest.approx([2.0, 1.0, -3.0])  # the score is minus the loss


def test_reach_by_hand() -> None:
    ours, bar = seen(2.0, 3.0, 4.0, 7.0), seen(1.0, 1.0, 4.0, 6.0, 9.0, 9.0)
    differences = np.array([-1.0, -2.0, 0.0, -1.0])
    error = differences.std(ddof=1) / 2 * np.sqrt(1 - 4 / 8)
    expected = -1.0 + norm.ppf(0.9) * error
    assert reach(ours, bar, 8, LOSS, PARAMS, 0.9) == pytest.approx(expected)
    # Differences that are the same for every image leave no doubt.
    assert reach(seen(2.0, 5.0), seen(1.0, 4.0), 8, LOSS, PARAMS, 0.999) == pytest.approx(-1.0)


def test_influences_of_flatness_are_its_derivative() -> None:
    rng = np.random.default_rng(0)
    images = np.abs(rng.normal(2.0, 0.3, (3, 400))) + np.array([[0.0], [0.2], [0.7]])
    metric = metric_of({"flatness": 1, "angle": 1})
    score, moved = influences(Evidence({"flatness": images}, {"angle": 1.2}), metric, PARAMS)
    step = 1e-4
    heavier = images.copy()
    heavier[:, 7] += step * (images[:, 7] - images.mean(1)) * 400  # as if image 7 counted more by this step
    means = measures.get("flatness").summarise(heavier.mean(1, keepdims=True), PARAMS)  # type: ignore[union-attr]
    moved_score = float(measures.combine({**means, "angle": [1.2]}, metric, PARAMS)[0])
    assert moved[7] == pytest.approx((moved_score - score) / step, rel=0.05)


def probe() -> Any:
    return make_probe(supernet(1), search_data(), PARAMS.model_copy(update={"scorer": "fast"}), 0, initial(0))


@pytest.mark.parametrize(
    "terms", [{"flatness": 1}, {"angle": 1, "flatness": 16}, {"accuracy": 1, "loss": 1}, {"angle": 1}]
)
def test_without_a_bar_all_images_are_seen_and_the_measures_are_the_full_ones(terms: dict[str, float]) -> None:
    metric = metric_of(terms)
    values, evidence = take_early(probe(), path(0), metric, EARLY, None)
    expected = measures.take(probe(), path(0), terms)
    assert values == pytest.approx({**expected, "images": PARAMS.images, "dropped": False}, rel=1e-6)
    assert evidence.measured(PARAMS) == pytest.approx(expected, rel=1e-6)


def test_a_hopeless_candidate_is_dropped_and_the_bar_itself_is_not() -> None:
    one = probe()
    taken = [take_early(one, path(seed), LOSS, EARLY, None) for seed in range(8)]
    ranked = sorted(taken, key=lambda pair: pair[0]["loss"])
    bar = ranked[0][1]
    assert not take_early(one, path(taken.index(ranked[0])), LOSS, EARLY, bar)[0]["dropped"]
    unreachable = Evidence({"loss": bar.images["loss"] - 5}, {})
    values, _ = take_early(one, path(0), LOSS, EARLY, unreachable)
    assert values["dropped"]
    assert values["images"] == PARAMS.images // 4


def test_what_another_measure_keeps_is_not_observed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one, passes = probe(), []
    real = one.outcomes
    monkeypatch.setattr(one, "outcomes", lambda *args: passes.append(args[2]) or real(*args))
    take_early(one, path(0), metric_of({"accuracy": 1, "loss": 1}), EARLY, None)
    assert passes == [slice(0, PARAMS.images // 4), slice(PARAMS.images // 4, PARAMS.images // 2),
                      slice(PARAMS.images // 2, PARAMS.images)]  # fmt: skip


def test_tensors_and_back() -> None:
    evidence = Evidence({"loss": np.array([[1.0, 2.0]])}, {"angle": 0.5})
    tensors = evidence.as_tensors()
    assert isinstance(tensors[0]["loss"], torch.Tensor)
    again = Evidence.from_tensors(*tensors)
    assert np.array_equal(again.images["loss"], evidence.images["loss"])
    assert again.values == evidence.values


def searched(tiny: Tiny) -> pd.DataFrame:
    context = tiny.context("search", **ROW)
    search.run(context)
    return pd.read_parquet(context.out / "candidates.parquet")


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_search_drops_some_resumes_with_the_same_bytes_and_never_breeds_from_the_dropped(
    trained: Tiny, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.change("search", small__early={"shares": [0.25, 0.5], "confidence": 0.51}, small__generations=4)
    whole = searched(trained)
    assert whole["dropped"].any()
    assert whole["score"].isna().equals(whole["dropped"])
    assert (whole.loc[whole["dropped"], "images"] < 30).all()
    assert (whole.loc[~whole["dropped"], "images"] == 30).all()  # half of the training images
    context = trained.context("search", kill_at(2), **ROW)
    with pytest.raises(Killed):
        search.run(context)
    monkeypatch.setenv("GENAS_WORKERS", workers)
    pd.testing.assert_frame_equal(searched(trained), whole)


def test_ranks_have_no_early_decisions(trained: Tiny) -> None:
    trained.change("search", small__early={"shares": [0.5], "confidence": 0.9})
    trained.change("metrics", angle_flatness__combine="rank")
    with pytest.raises(GenasError, match=r"search\.early: metric angle_flatness adds ranks"):
        search.run(trained.context("search", **ROW))

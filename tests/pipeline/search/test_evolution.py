"""Evolution: what it proposes, how it rates, and what it keeps to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from genas.models.errors import GenasError
from genas.models.spaces.darts.cost import network_cost
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.pipeline.config import Params, SearchParams
from genas.pipeline.search.evolution import allowed, best_of, propose, rate, summary
from tests.conftest import metric_of, tiny_params


def settings(**changed: Any) -> SearchParams:
    return SearchParams.model_validate({**tiny_params()["search"]["small"], **changed})


def parents(count: int = 4) -> list[Genotype]:
    rng = np.random.default_rng(9)
    return [random_genotype(rng) for _ in range(count)]


@pytest.mark.parametrize("cells", ["both", "normal"])
@pytest.mark.parametrize("elders", [[], parents()])
def test_proposals_are_new_different_and_of_the_space(elders: list[Genotype], cells: str) -> None:
    seen = set(elders)
    params = settings(population=50, mutated=25, crossed=20, parents=4, mutate_cells=cells)
    population = propose(elders, seen, params, np.random.default_rng(0))
    assert len(population) == 50
    assert len(set(population)) == 50
    assert not set(population) & set(elders)
    assert seen == set(population) | set(elders)
    for genotype in population:
        genotype.require_two_inputs()


def test_proposals_are_a_function_of_the_generator() -> None:
    first, second = (propose(parents(), set(parents()), settings(), np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_mutated_come_first_then_crossed_then_random() -> None:
    """With one parent a mutant keeps its reduction cell; its children with itself are no news, so that random ones
    take their place."""
    elder = parents(1)
    params = settings(population=12, mutated=5, crossed=5, mutate_cells="normal", mutation_probability=0.3)
    population = propose(elder, set(elder), params, np.random.default_rng(0))
    assert [genotype.reduce == elder[0].reduce for genotype in population] == [True] * 5 + [False] * 7


def test_the_best_are_sorted_and_never_out_of_quarantine() -> None:
    candidates = [
        {"encoding": [3], "score": 1.0, "generation": 0},
        {"encoding": [2], "score": None, "generation": 0},
        {"encoding": [1], "score": 1.0, "generation": 1},
        {"encoding": [0], "score": 2.0, "generation": 1},
    ]
    assert [c["encoding"] for c in best_of(candidates, 10)] == [[0], [1], [3]]
    assert [c["encoding"] for c in best_of(candidates, 2)] == [[0], [1]]
    assert summary(candidates, 1) == {"best": 2.0, "median": 1.5, "worst": 1.0}
    assert all(math.isnan(value) for value in summary(candidates[1:2], 0).values())


# ---- limits ---------------------------------------------------------------------------------------------------------


def test_limits_are_kept_by_all_that_is_proposed() -> None:
    elders = [genotype for genotype in parents(40) if allowed(genotype, settings(max_macs=480e6))]
    assert elders
    params = settings(population=20, mutated=10, crossed=5, max_macs=480e6, max_params=4.4e6)
    population = propose(elders, set(elders), params, np.random.default_rng(0))
    assert len(population) == 20
    for genotype in population:
        cost = network_cost(genotype)
        assert cost.macs <= 480e6
        assert cost.params <= 4.4e6
    free = propose(elders, set(elders), settings(population=20, mutated=10, crossed=5), np.random.default_rng(0))
    assert not all(allowed(genotype, params) for genotype in free)


def test_a_limit_that_leaves_nothing_is_one_line() -> None:
    with pytest.raises(
        GenasError, match=r"hardly any architecture keeps to max_params None, max_macs 1000000.0; found 0"
    ):
        propose([], set(), settings(max_macs=1e6), np.random.default_rng(0))


# ---- ratings --------------------------------------------------------------------------------------------------------

MEASURES = Params.model_validate(tiny_params()).measures


def test_the_quarantined_have_no_score_and_no_rank() -> None:
    candidates = [
        {"accuracy": 0.5, "score": None, "error": ""},
        {"accuracy": math.nan, "score": None, "error": "accuracy is nan"},
        {"accuracy": 0.7, "score": 9.0, "error": ""},
        {"score": None, "error": "RuntimeError: out of memory"},
    ]
    rate(candidates, metric_of({"accuracy": 2}), MEASURES)
    assert [c["score"] for c in candidates] == [1.0, None, 1.4, None]
    rate(candidates, metric_of({"accuracy": 1}, combine="rank"), MEASURES)
    assert [c["score"] for c in candidates] == [0.5, None, 1.0, None]

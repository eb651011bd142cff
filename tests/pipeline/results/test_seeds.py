"""Spreads over seeds: what counts as a repetition, and its standard deviation."""

from __future__ import annotations

import pytest

from genas.pipeline.config import Params
from genas.pipeline.results.seeds import repeated, spread
from tests.pipeline.conftest import PARAMS


def test_a_spread_is_that_of_a_sample() -> None:
    found = spread([1.0, 2.0, 6.0])
    assert found
    assert (found.mean, found.deviation, found.seeds) == (3.0, pytest.approx(7**0.5), 3)
    assert found.shown("top1") == "3.00 ± 2.65"
    assert spread([1.0]) is None


def test_rows_repeat_each_other_where_only_the_seed_of_their_search_differs() -> None:
    seeds = {**PARAMS["matrix"]["search"], "seed": [0, 1]}
    matrix = {**PARAMS["matrix"], "search": seeds, "supernet": {"dataset": ["digits"], "seed": [0, 1]}}
    first = PARAMS["rows"]["flatness"]
    rows = {
        **PARAMS["rows"],
        "again": {**first, "cell": "search/digits-flatness-1"},
        "wider": {**first, "cell": "search/digits-flatness-1", "width": 16},
    }
    params = Params.model_validate({**PARAMS, "matrix": matrix, "rows": rows})
    board = {row: {"top1": 1.0} for row in rows}
    assert repeated(params, board) == {"flatness": ["flatness", "again"]}
    del board["again"]
    assert repeated(params, board) == {}, "it has not run"

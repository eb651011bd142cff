"""Spreads over seeds: what counts as a repetition, and its standard deviation."""

from __future__ import annotations

import pytest

from genas.pipeline.config import PROFILES, Params, load_params
from genas.pipeline.results.seeds import groups, repeated, spread, spreads
from tests.pipeline.conftest import REPEATED as PARAMS


def test_a_spread_is_that_of_a_sample() -> None:
    found = spread([1.0, 2.0, 6.0])
    assert found
    assert (found.mean, found.deviation, found.seeds) == (3.0, pytest.approx(7**0.5), 3)
    assert found.shown("top1") == "3.00 ± 2.65"
    assert spread([1.0]) is None


def test_rows_repeat_each_other_where_only_seeds_differ() -> None:
    """Of their search, whether these are one or apart, and of their training."""
    seeds = {**PARAMS["matrix"]["search"], "seed": [0, 1]}
    matrix = {**PARAMS["matrix"], "search": seeds, "supernet": {"dataset": ["digits"], "seed": [0, 1]}}
    first = PARAMS["rows"]["flatness"]
    rows = {
        **PARAMS["rows"],
        "again": {**first, "cell": "search/digits-flatness-1", "seed": 7},
        "apart": {**first, "cell": "reseed/digits-flatness-0-1-0"},
        "wider": {**first, "cell": "search/digits-flatness-1", "width": 16},
        "darts_1": {**PARAMS["rows"]["darts"], "seed": 1},
    }
    params = Params.model_validate({**PARAMS, "matrix": matrix, "rows": rows})
    together = [["flatness", "again", "apart"], ["angle-flatness"], ["darts", "darts_1"], ["wider"]]
    assert groups(params) == together
    board = {row: {"top1": float(place)} for place, row in enumerate(rows)}
    assert repeated(params, board) == {"flatness": together[0], "darts": together[2]}
    assert spreads(params, board)["flatness"] == {"top1": spread([0.0, 3.0, 4.0])}
    board["again"]["ap"] = 30.0
    assert "ap" not in spreads(params, board)["flatness"], "one alone has it"
    del board["flatness"], board["again"], board["darts"]
    assert repeated(params, board) == {}, "one alone has run"


def test_the_papers_rows_have_three_seeds_where_its_differences_are_small() -> None:
    """Not DARTS, the metric of Figure 3 alone, and the recipe that is not the paper's."""
    params = load_params(PROFILES["paper"])
    alone = {"c100_angle_accuracy", "darts_c10", "darts_c10_modern", "genas_flatness_c100_modern"}
    for rows in groups(params):
        assert len(rows) == (1 if rows[0] in alone else 3), rows
        assert [params.rows[row].seed for row in rows] == [*range(len(rows))]
        assert [row.removeprefix(rows[0]) for row in rows] == ["", "_1", "_2"][: len(rows)]
        searched = [params.rows[row].cell for row in rows if params.rows[row].cell.startswith("search/")]
        assert [int(cell.rsplit("-", 1)[1]) for cell in searched] == [*range(len(searched))]

"""What costs no supernet: graphs, tables, forests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genas.models.spaces.nasbench201.cell import OPERATIONS, Cell201, all_cells
from genas.pipeline.config import PROFILES, Settings201, load_params
from genas.pipeline.laboratory.opponents.forest import forecast, forests
from genas.pipeline.laboratory.opponents.graphs import describe, features, halves, paths
from genas.pipeline.laboratory.opponents.tabulated import (
    AGGREGATED,
    EVERYWHERE,
    aggregated,
    compared,
    looked_up,
    opponents,
    whole_space,
)
from genas.pipeline.laboratory.ranking import tau
from genas.pipeline.laboratory.scores import Stored

SKIP, SMALL, LARGE, POOL, NONE = "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none"
DEAD = Cell201((LARGE, NONE, NONE, SMALL, NONE, NONE))
"""0->1 leads nowhere: only the convolution from 0 to 3 is live."""
CHAIN = Cell201((LARGE, NONE, SMALL, SKIP, NONE, LARGE))
"""0->1->2->3 with three convolutions, and 0->3 directly."""
FULL = Cell201((LARGE,) * 6)


@pytest.fixture(scope="module")
def settings() -> Settings201:
    return load_params(PROFILES["mini"]).nasbench201.required


def test_live_edges_are_on_a_path_from_input_to_output() -> None:
    assert [(edge.source, edge.target) for edge in DEAD.live] == [(0, 3)]
    assert DEAD.live != DEAD.edges
    assert CHAIN.live == CHAIN.edges
    assert Cell201((NONE, NONE, LARGE, NONE, LARGE, NONE)).live == ()


def test_a_cell_is_described_by_hand() -> None:
    same = Cell201((NONE, NONE, LARGE, SMALL, NONE, NONE))  # as DEAD, but for zeros in the sum
    table = describe([str(cell) for cell in (DEAD, CHAIN, FULL, DEAD, same)])
    assert table["live"].tolist() == [1, 3, 6, 1, 1]
    assert table["reachable"].tolist() == [False, True, True, False, False]
    assert table["graph"].tolist()[:4] == [0, 1, 2, 0]
    assert paths(CHAIN) == (2, 3)
    assert paths(FULL) == (4, 3)
    assert paths(Cell201((NONE,) * 6)) == (0, 0)


def test_features_are_counts_and_indicators_by_hand() -> None:
    (row,) = features([str(DEAD)])
    assert len(row) == 6 * len(OPERATIONS) + 2 * len(OPERATIONS) + 2
    assert row[:5].tolist() == [float(name == LARGE) for name in OPERATIONS]
    assert row[30:35].tolist() == [{NONE: 4, SMALL: 1, LARGE: 1}.get(name, 0) for name in OPERATIONS]
    assert row[35:40].tolist() == [float(name == SMALL) for name in OPERATIONS]
    assert row[40:].tolist() == [1, 1]


def test_no_class_is_in_both_halves() -> None:
    graphs = np.array([0, 1, 0, 2, 3, 1, 4])
    searching, judging = halves(graphs)
    assert searching.tolist() == [0, 2, 3, 6]
    assert judging.tolist() == [1, 4, 5]


def test_columns_are_looked_up_and_joined_where_both_are_known(settings: Settings201) -> None:
    run = Stored(pd.DataFrame({"architecture": ["a", "b", "c", "d"]}), settings)
    first, second = pd.Series({"c": 3.0, "a": 1.0, "b": 2.0}), pd.Series({"b": 1.0, "a": 5.0, "c": 4.0, "d": 9.0})
    assert looked_up(first)(run) == pytest.approx([1, 2, 3, np.nan], nan_ok=True)
    expected = [np.log(1 / 3 * 3 / 3), np.log(2 / 3 * 1 / 3), np.log(3 / 3 * 2 / 3), np.nan]
    assert aggregated(first, second)(run) == pytest.approx(expected, nan_ok=True)


def test_opponents_are_columns_of_the_truths_own_data_set(settings: Settings201) -> None:
    cells = [str(cell) for cell in (DEAD, CHAIN)]
    columns = [f"{data}_{part}_12" for data in ("cifar10", "cifar100") for part in ("valid", "test")]
    benchmark = pd.DataFrame({name: [float(i), i + 0.5] for i, name in enumerate(columns)}, index=cells)
    theirs = pd.DataFrame({"jacov_cifar10": [-2.0], "params_cifar10": [0.1]}, index=cells[1:])
    run = Stored(pd.DataFrame({"architecture": cells}), settings)
    made = {name: score(run) for name, score in opponents(benchmark, describe(cells), theirs, "cifar100").items()}
    live, validated, tested = (made[name].tolist() for name in EVERYWHERE)
    assert (live, validated, tested) == ([1, 3], [2, 2.5], [3, 3.5])
    assert made["jacov (table)"] == pytest.approx([np.nan, -2], nan_ok=True)
    assert made[AGGREGATED] == pytest.approx([np.nan, 0], nan_ok=True)
    assert AGGREGATED not in opponents(benchmark, describe(cells), None, "cifar10")
    assert len(whole_space(settings).table) == 15625


def test_other_peoples_values_are_compared_by_rank(settings: Settings201) -> None:
    cells = ["a", "b", "c", "d"]
    run = Stored(pd.DataFrame({"architecture": cells, "synflow": [1.0, 2, 3, 4], "naswot": [1.0, 2, 4, 3]}), settings)
    theirs = pd.DataFrame({"synflow_cifar10": [10.0, 20, 30], "nwot_cifar10": [3.0, 2, 1]}, index=cells[:3])
    table = compared([run], theirs, "cifar100", "8 channels").set_index("measure")
    assert table["tau"].to_dict() == {"synflow": pytest.approx(1), "naswot": pytest.approx(-1)}
    assert table["architectures"].tolist() == [3, 3]
    assert table.loc["synflow", "note"] == ""
    assert "8 channels" in table.loc["naswot", "note"]


def test_forests_learn_from_labels_and_are_judged_on_other_graphs(settings: Settings201) -> None:
    """A truth that is made of the number of 3x3 convolutions is learnt; the same seed gives the same table."""
    cells = [str(cell) for i, cell in enumerate(all_cells()) if i % 13 == 0]
    graphs = describe(cells)
    truth = np.array([cell.count(LARGE) for cell in cells]) + np.random.default_rng(0).normal(0, 0.1, len(cells))
    few = settings.model_copy(update={"labels": (10, 100), "forests": 2})
    measured = np.arange(0, len(cells), 5)
    table = forests({"cifar10": truth}, graphs, measured, few)
    assert table["labels"].tolist() == [10, 10, 100, 100]
    taus = table[table["judged on"] == "whole space"]["tau"].tolist()
    assert 0 < taus[0] < taus[1]
    assert taus[1] > 0.7
    pd.testing.assert_frame_equal(forests({"cifar10": truth}, graphs, measured, few), table)
    labels = np.random.default_rng([201, 100, 0]).choice(len(cells), 100, replace=False)
    unseen = ~np.isin(graphs["graph"], graphs["graph"].to_numpy()[labels])
    told = forecast(features(cells), labels, truth, 0)
    other = np.random.default_rng([201, 100, 1]).choice(len(cells), 100, replace=False)
    assert unseen[labels].sum() == 0
    assert set(labels) != set(other)
    assert tau(told[unseen], truth[unseen]) == pytest.approx(taus[1], abs=0.1)

"""What is asked beyond the paper's tables, each on a case that is worked by hand or made to have an answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from genas.models.spaces.nasbench201.cell import OPERATIONS, Cell201, all_cells
from genas.pipeline.config import PROFILES, Settings201, load_params
from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.opponents.graphs import describe
from genas.pipeline.laboratory.questions import generalisation as beyond
from genas.pipeline.laboratory.questions.adds import conditional, fitted, out_of_fold
from genas.pipeline.laboratory.questions.protocols import protocols, sets, stratified
from genas.pipeline.laboratory.questions.walks import STRATEGIES, Ground, another, walks, winners
from genas.pipeline.laboratory.ranking import Array, tau
from genas.pipeline.laboratory.scores import Score, Stored

COUNT = 200
CELLS = [str(cell) for cell in all_cells()][:: 15625 // COUNT][:COUNT]


@pytest.fixture(scope="module")
def settings() -> Settings201:
    return load_params(PROFILES["mini"]).nasbench201.required


@pytest.fixture(scope="module")
def run(settings: Settings201) -> tuple[Stored, Array]:
    """A run and its truth: quality is half size and half something that only ``knowing`` sees."""
    rng = np.random.default_rng(0)
    size, hidden = rng.normal(size=(2, COUNT))
    table = pd.DataFrame({"architecture": CELLS, "params": np.round(size, 1), "macs": np.round(size, 1)})
    table["loss"] = -size - hidden + rng.normal(size=COUNT)
    table["knowing"], table["copying"] = hidden + 0.3 * rng.normal(size=COUNT), size + 0.3 * rng.normal(size=COUNT)
    return Stored(table, settings), size + hidden


SCORES: dict[str, Score] = {
    "params": lambda run: run.column("params"),
    "loss": lambda run: -run.column("loss"),
    "knowing": lambda run: run.column("knowing"),
    "copying": lambda run: run.column("copying"),
}


# ---- does it add? ---------------------------------------------------------------------------------------------------


def test_what_only_copies_the_controls_adds_nothing(run: tuple[Stored, Array]) -> None:
    stored, truth = run
    judges = {"cifar10": Judge([stored], truth, 10, 100)}
    macs = np.unique(stored.column("macs"), return_inverse=True)[1]
    found = conditional(judges, SCORES, macs).set_index(["measure", "statistic"])
    assert found.loc[("copying", "tau"), "value"] > 0.4
    assert (
        abs(found.loc[("copying", "partial tau"), "value"]) < 0.1 < 0.3 < found.loc[("knowing", "partial tau"), "low"]
    )
    assert found.loc[("knowing", "tau at equal MACs"), "low"] > 0.3
    assert found.loc[("params", "tau at equal MACs"), "value"] == 0
    assert ("params", "partial tau") not in found.index
    gains = fitted(judges, SCORES, np.arange(COUNT)).query("statistic == 'gain'").set_index("added")
    assert gains.loc["knowing", "low"] > 0.05
    assert abs(gains.loc["copying", "value"]) < 0.02


def test_weights_are_fitted_without_the_fold_that_they_rank() -> None:
    """Ranks 1 to 3 and 4 to 6 of six; the truth of the first fold is all that the second one's line is fitted to."""
    column, truth, folds = np.arange(6.0), np.array([0.0, 1, 2, 5, 4, 3]), np.array([0, 0, 0, 1, 1, 1])
    told = out_of_fold([column], truth, folds)
    assert told[3:] == pytest.approx(np.array([4, 5, 6]) / 6)
    assert told[:3] == pytest.approx(np.array([9, 8, 7]) / 6)
    changed = truth.copy()
    changed[5] = 9.0
    assert out_of_fold([column], changed, folds)[3:] == pytest.approx(told[3:])


# ---- protocols ------------------------------------------------------------------------------------------------------


def test_strata_of_accuracy_have_as_many_each() -> None:
    """Levels of width 5 from 0 to 100: 40 architectures in the last, one in the first, none between."""
    truth = np.concatenate([[0.0], np.linspace(96, 100, 40)])
    chosen = stratified(truth, 60)
    assert chosen.tolist() == [0, 1, 20, 40]
    assert len(stratified(np.linspace(0, 100, 400), 320)) == 320


def test_each_protocol_has_its_architectures(settings: Settings201) -> None:
    cells = [("none",) * 6, ("none",) * 5 + ("nor_conv_1x1",), ("skip_connect",) * 6, ("skip_connect",) * 6]
    graphs = describe([str(Cell201(cell)) for cell in cells])
    truth = np.array([10.0, 11.0, 60.0, 61.0])
    parts = sets(truth, graphs, 40)
    assert parts["all"].tolist() == [0, 1, 2, 3]
    assert parts["without unreachable branches"].tolist() == [0, 2, 3]
    assert parts["distinct"].tolist()[-1] == 2
    runs = [Stored(pd.DataFrame({"x": [1.0, 2, 4, 3 + i], "y": [np.nan, 1, 2, 3]}), settings) for i in range(2)]
    scores: dict[str, Score] = {name: lambda run, name=name: run.column(name) for name in ("x", "y")}  # type: ignore[misc]
    table = protocols({"few": (runs, graphs, {"t": scores})}, {"few": {"t": truth}}, 40)
    own = table[table["score"] == "x"].set_index("protocol")
    assert own.loc["all", "tau"] == pytest.approx(np.mean([tau(run.column("x"), truth) for run in runs]))
    assert own.loc["all", "spread"] > 0
    assert "all" not in set(table[table["score"] == "y"]["protocol"])


# ---- other truths ---------------------------------------------------------------------------------------------------


def test_other_truths_are_attacks_gaps_and_changes_of_rank() -> None:
    cells = pd.Series(["a", "b", "c"])
    columns = {f"{name}_test_200": [90.0, 80, 70] for name in ("cifar10", "cifar100", "imagenet16_120")}
    columns["cifar100_test_200"] = [60.0, 70, 50]
    for name in ("cifar10", "cifar100", "imagenet16_120"):
        columns |= {f"{name}_valid_12": [50.0, 40, 30], f"{name}_test_12": [45.0, 41, 30]}
    benchmark = pd.DataFrame(columns, index=list(cells))
    robustness = pd.DataFrame({"fgsm_1": [1.0, 2, 3], "fgsm_255": [0.0, 0, 0]}, index=["c", "b", "a"])
    found = {(kind, name): (truth, clean) for kind, name, truth, clean in beyond.truths(benchmark, robustness, cells)}
    assert found[beyond.KINDS[0], "FGSM, 1/255"][0].tolist() == [3, 2, 1]
    assert found[beyond.KINDS[1], "cifar10"][0].tolist() == [5, -1, 0]
    assert found[beyond.KINDS[2], "cifar100"][0] == pytest.approx(np.array([-1, 1, 0]) / 3)
    assert found[beyond.KINDS[1], "cifar100"][1].tolist() == [60, 70, 50]
    assert len(found) == 1 + 3 + 2
    assert len(beyond.truths(benchmark, None, cells)) == 5


def test_a_truth_that_clean_accuracy_explains_is_foretold_by_nothing_else(
    run: tuple[Stored, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, clean = run
    monkeypatch.setattr(beyond, "SCORES", SCORES)
    monkeypatch.setattr(beyond, "MEASURES", ("knowing",))
    rng, apart = np.random.default_rng(1), clean + 3 * stored.column("knowing")
    follows = [("kind", f"follows {i}", clean + 0.2 * rng.normal(size=COUNT), clean) for i in range(10)]
    asked = [*follows, ("kind", "apart", apart, clean)]
    table = beyond.generalisation(Judge([stored], clean, 10, 100), asked)
    chance = table[table["truth"].str.startswith("follows")].groupby("statistic")["value"].mean()
    assert abs(chance["partial tau"]) < 0.07 < 0.3 < chance["tau"]
    found = table.set_index(["truth", "statistic"])
    assert found.loc[("apart", "partial tau"), "low"] > 0.3


# ---- searches -------------------------------------------------------------------------------------------------------


def test_the_winner_is_the_highest_score_so_far() -> None:
    scores, truth = np.array([1.0, 3.0, 2.0, 3.0]), np.array([50.0, 60.0, 90.0, 70.0])
    assert winners([2, 0, 1, 3], scores, truth).tolist() == [90, 90, 60, 60]


def test_a_proposal_that_is_not_there_becomes_the_nearest_unseen() -> None:
    cells = [("none",) * 6, ("none",) * 5 + ("skip_connect",), ("nor_conv_3x3",) * 6]
    ground, rng = Ground([str(Cell201(cell)) for cell in cells]), np.random.default_rng(0)
    assert ground.place(Cell201(cells[2]), set(), rng) == 2
    near = Cell201(("none",) * 4 + ("skip_connect",) * 2)
    assert ground.place(near, set(), rng) == 1
    assert ground.place(near, {1}, rng) == 0
    child = another(Cell201(cells[0]), rng)
    assert sum(a != b for a, b in zip(child.operations, cells[0], strict=True)) == 1


def test_evolution_by_a_good_score_beats_random_search(settings: Settings201) -> None:
    """The truth is the number of 3x3 convolutions; every walk looks at each architecture once, and the same seed gives
    the same table."""
    cells = [str(cell) for cell in all_cells()][::5]
    run = Stored(pd.DataFrame({"architecture": cells}), settings)
    truth = np.array([float(cell.count(OPERATIONS[3])) for cell in cells])
    noise = truth + np.random.default_rng(0).normal(0, 0.1, len(cells))
    few = settings.search.model_copy(update={"walks": 4})
    scores: dict[str, Callable[[Stored], Array]] = {"good": lambda run: noise, "bad": lambda run: -noise}
    table = walks([run], scores, truth, few, {"architectures of": "here"})
    last = table[table["evaluations"] == 100].set_index(["score", "strategy"])["accuracy"]
    for strategy in STRATEGIES[:2]:
        assert last["good", strategy] > last["good", "random search"]
        assert last["bad", strategy] < 1
    pd.testing.assert_frame_equal(walks([run], scores, truth, few, {"architectures of": "here"}), table)
    ground = Ground(cells[:30])
    from genas.pipeline.laboratory.questions.walks import evolve, regularised, wander

    for walk in (evolve, regularised, wander):
        order = walk(ground, noise[:30], few, np.random.default_rng(0))
        assert len(order) == len(set(order)) == 30

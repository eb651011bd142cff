"""The laboratory: rank statistics, scores from stored losses, the benchmark's table, and the stage that joins them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from genas.models.errors import GenasError
from genas.models.spaces.nasbench201.cell import Cell201, all_cells
from genas.models.spaces.nasbench201.cost import nasbench201_cost
from genas.pipeline.config import Settings201, data_root, load_params
from genas.pipeline.laboratory import combine
from genas.pipeline.laboratory import stage as laboratory
from genas.pipeline.laboratory.benchmark import COLUMNS, SIZE, _official, accuracy_of, load_benchmark
from genas.pipeline.laboratory.companions import THEIRS, load_robustness, load_zero_cost
from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.opponents.tabulated import EVERYWHERE
from genas.pipeline.laboratory.ranking import tau
from genas.pipeline.laboratory.scores import (
    AGGREGATES,
    JOINED,
    SCORES,
    Stored,
    aggregates,
    read_runs,
    residual,
    scores_of,
    terms,
)
from genas.pipeline.laboratory.tables import TABLE_5, TABLE_6, figure_2, measures, table_5, table_6, table_7
from genas.pipeline.measures import ZERO_COST
from genas.pipeline.nasbench201.measuring import sample
from tests.conftest import Tiny, make_tiny
from tests.pipeline.laboratory.tables import require_refused
from tests.pipeline.nasbench201.test_nasbench201 import with_laboratory

TABLE = data_root() / "nasbench201" / "nasbench201.parquet"
needed = pytest.mark.skipif(not TABLE.exists(), reason=f"{TABLE} is missing (GENAS_DATA sets the data root)")


# ---- scores from a table --------------------------------------------------------------------------------------------


def test_what_another_reading_knows_leaves_no_residual() -> None:
    rng = np.random.default_rng(0)
    given = rng.normal(size=400)
    other = given + 2 * rng.normal(size=400)
    assert abs(tau(residual(other, given), given)) < 0.06 < tau(other, given)


def made_up(count: int = 60, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A stored table in which a hidden quality is the truth: the loss sees it well, the angle not at all."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=count)
    cells = [str(cell) for cell, _ in zip(all_cells(), range(count), strict=False)]
    table = pd.DataFrame({"architecture": cells, "loss": 6 - quality + 0.3 * rng.normal(size=count)})
    for name in ("accuracy", "accuracy_as_trained", "loss_as_trained", "angle", "macs"):
        table[name] = rng.normal(size=count)
    table["params"] = quality + rng.normal(size=count)
    for name in ZERO_COST:
        table[name], table[f"trained_{name}"] = rng.normal(size=(2, count))
    return table, quality


@pytest.fixture
def stored(tiny: Tiny) -> tuple[list[Stored], np.ndarray]:
    """Two made-up runs, and their truth."""
    settings = load_params(with_laboratory(tiny).root).nasbench201.required
    runs = []
    for seed in (0, 1):
        table, truth = made_up()
        rng = np.random.default_rng(seed)
        for noise, about in settings.noises.items():
            for draw in range(about.draws):
                for i, sigma in enumerate(about.sigma):
                    table[f"{noise}_{draw}_{i}"] = table["loss"] * (1 + 10 * sigma) + 0.01 * rng.normal(size=len(table))
        runs.append(Stored(table, settings))
    return runs, truth


def test_flatness_is_that_of_the_stored_losses(stored: tuple[list[Stored], np.ndarray]) -> None:
    run = stored[0][0]
    first, second, third = (run.table[f"curve_0_{i}"] for i in (5, 6, 7))  # 2e-3, 1e-2, 2e-2
    expected = 1 / ((second - first).abs() / 8e-3 + (third - second).abs() / 1e-2 + 0.5 * first / 2e-3 + 1e-5)
    assert run.flatness(alpha=0.5) == pytest.approx(expected.to_numpy())
    with pytest.raises(GenasError, match=r"noises\.cells: sigma 0\.5 was not taken"):
        run.losses("cells", (0.5,))


def test_every_reading_is_one_value_for_each_architecture(stored: tuple[list[Stored], np.ndarray]) -> None:
    run = stored[0][0]
    for name, score in {**scores_of(run), **JOINED, **terms(run)}.items():
        assert score(run).shape == (60,), name
        assert np.isfinite(score(run)).all(), name


def test_tables_by_sigma_and_alpha_have_the_papers_rows(stored: tuple[list[Stored], np.ndarray]) -> None:
    runs, truth = stored
    judges = {"cifar10": Judge(runs, truth, 10, 50), "cifar100": Judge(runs, -truth, 10, 50)}
    five, six = table_5(judges, "cifar10"), table_6(judges, "cifar10")
    assert (len(five), len(six)) == (2 * len(TABLE_5), 2 * len(TABLE_6))
    assert five["paper"].notna().sum() == 4
    own = six[six["truth"] == "cifar10"].set_index("alpha")
    assert own.loc[1.0, "value"] == pytest.approx(np.mean([tau(run.flatness(), truth) for run in runs]))
    assert own.loc[1.0, "paper"] == 0.6047
    assert (own["low"] <= own["value"]).all()
    assert (own["value"] <= own["high"]).all()
    other = six[six["truth"] == "cifar100"].set_index("alpha")
    assert other["value"].to_numpy() == pytest.approx(-own["value"].to_numpy())


def test_the_papers_numbers_stand_beside_supernets_on_the_same_data_alone(
    stored: tuple[list[Stored], np.ndarray],
) -> None:
    runs, truth = stored
    judges = {"cifar10": Judge(runs, truth, 10, 50), "imagenet16_120": Judge(runs, truth, 10, 50)}

    def of_measures(judges: dict[str, Judge], dataset: str) -> pd.DataFrame:
        return measures(judges, dict.fromkeys(judges, scores_of(runs[0])), dataset)

    for made, beside in ((table_5, "paper"), (table_6, "paper"), (of_measures, "reported")):
        known = made(judges, "imagenet16_120").dropna(subset=[beside])
        assert set(known["truth"]) == (set() if made is table_6 else {"imagenet16_120"})
        assert made(judges, "another")[beside].isna().all()


def test_table_7_goes_without_hessian_directions_where_none_were_taken(stored: tuple[list[Stored], np.ndarray]) -> None:
    runs, truth = stored
    table = table_7({"cifar10": Judge(runs, truth, 10, 50)}, {}, "cifar10")
    assert table["direction"].tolist() == ["random", "random"]
    assert table["paper"].tolist() == [0.6047, 0.5612]


def test_figure_2_has_the_mean_loss_of_each_group(stored: tuple[list[Stored], np.ndarray]) -> None:
    runs, truth = stored
    table = figure_2(runs, truth, 5).set_index(["group", "sigma"])["loss"]
    best = np.argsort(truth)[-5:]
    assert table["top", 0.0] == pytest.approx(np.mean([run.table["loss"].to_numpy()[best] for run in runs]))
    assert table["top", 0.0] < table["middle", 0.0] < table["bottom", 0.0]


def test_a_measure_that_a_run_has_stored_is_a_score_by_itself(stored: tuple[list[Stored], np.ndarray]) -> None:
    """With the sign that the measure's own module gives it, and once more of trained weights where that is stored."""
    run = stored[0][0]
    more = run.settings.model_copy(update={"measured": (*run.settings.measured, "trained_synflow")})
    assert set(scores_of(run)) == {*SCORES, *ZERO_COST}
    assert set(scores_of(Stored(run.table, more))) == {*SCORES, *ZERO_COST, "trained_synflow"}
    fewer = Stored(run.table.drop(columns=["snip", "trained_naswot"]), run.settings)
    assert "snip" not in scores_of(fewer)
    assert "trained synflow" in terms(fewer)
    assert not {"snip", "trained snip", "trained naswot"} & set(terms(fewer))


def test_logarithmic_ranks_are_added_of_the_measures_that_a_run_has_stored(stored: tuple[list[Stored], Any]) -> None:
    """AZ-NAS and the like are compared, and are no terms of other sums."""
    run, rng = stored[0][0], np.random.default_rng(0)
    assert aggregates(run) == {}
    more = run.table.assign(jacov=rng.normal(size=60), vkdnw=rng.normal(size=60))
    made = aggregates(Stored(more, run.settings))
    assert list(made) == ["ln rank jacov + ln rank params"]
    ranks = more[["jacov", "params"]].rank() / 60
    assert made["ln rank jacov + ln rank params"](Stored(more, run.settings)) == pytest.approx(
        np.log(ranks).sum(axis=1)
    )
    whole = Stored(more.assign(expressivity=1.0, progressivity=2.0, trainability=3.0), run.settings)
    assert set(aggregates(whole)) == set(AGGREGATES) <= set(scores_of(whole))
    assert not set(AGGREGATES) & set(terms(whole))


def test_the_search_finds_the_best_sum_without_the_judging_half(stored: tuple[list[Stored], np.ndarray]) -> None:
    runs, truth = stored
    chosen = {name: terms(runs[0])[name] for name in ("loss", "params", "angle", "snip")}
    searching, judging = np.arange(0, 60, 2), np.arange(1, 60, 2)
    found, about = combine.search(runs, truth, chosen, searching, 20, "cifar10")
    assert len(found) == about["tried"] == 4 + 2 * (6 + 4)
    assert "loss" in re.split(" [&*] ", found["score"][0])
    assert found["tau"].is_monotonic_decreasing
    known = found.set_index("score")["tau"]
    half = [Stored(run.table.iloc[searching], run.settings) for run in runs]
    for name in ("loss", "loss & angle", "loss & params & snip", "loss * angle", "loss * params * snip"):
        expected = np.mean([tau(combine.combined(name, chosen)(run), truth[searching]) for run in half])
        assert known[name] == pytest.approx(expected, abs=1e-6)
    spoiled = truth.copy()
    spoiled[judging] = -100
    for run in runs:
        run.table.loc[1::2, ["loss", "params", "angle", "snip"]] = 7.0
    pd.testing.assert_frame_equal(combine.search(runs, spoiled, chosen, searching, 20, "cifar10")[0], found)


def test_every_second_supernet_judges_what_the_others_chose(stored: tuple[list[Stored], np.ndarray]) -> None:
    runs = [*stored[0], stored[0][0]]
    searching, judging = combine.supernets(runs)
    assert [len(searching), len(judging)] == [2, 1]
    assert combine.supernets(runs[:1]) == (runs[:1], runs[:1])


def test_a_judge_of_one_half_sees_no_other(stored: tuple[list[Stored], np.ndarray]) -> None:
    runs, truth = stored
    judge = Judge(runs, truth, 5, 20, slice(1, None, 2))
    expected = np.mean([tau(-run.table["loss"].to_numpy()[1::2], truth[1::2]) for run in runs])
    assert judge.tau(SCORES["loss"]).value == pytest.approx(expected)


def test_parameters_and_multiply_adds_order_the_space_alike() -> None:
    costs = np.array([nasbench201_cost(cell) for cell in all_cells()], dtype=np.float64)
    assert kendalltau(costs[:, 0], costs[:, 1]).statistic == pytest.approx(1)


# ---- the benchmark --------------------------------------------------------------------------------------------------


def write_benchmark(path: Path) -> pd.DataFrame:
    """A table of the benchmark's form in which accuracy grows with parameters and has noise."""
    cells = list(all_cells())
    rng = np.random.default_rng(0)
    base = np.array([nasbench201_cost(cell).params for cell in cells]) / 2e4
    table = pd.DataFrame({"arch_str": [str(cell) for cell in cells]})
    for i, name in enumerate(COLUMNS):
        table[name] = 25 + (base + rng.normal(size=len(cells)) * (1 + i)) / 2
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path)
    return table


def write_robustness(path: Path) -> pd.DataFrame:
    """Accuracies under two attacks."""
    cells = [str(cell) for cell in all_cells()]
    drawn = np.random.default_rng(1).uniform(0, 90, (2, len(cells)))
    table = pd.DataFrame({"arch_str": cells, "fgsm_1": drawn[0], "square_0.5": drawn[1]})
    table.to_parquet(path)
    return table


def write_zero_cost(path: Path) -> pd.DataFrame:
    """Other people's measures of the architectures without unreachable branches."""
    cells = [str(cell) for cell in all_cells() if len(cell.live) == len(cell.edges)]
    rng = np.random.default_rng(2)
    table = pd.DataFrame({f"{name}_cifar10": rng.normal(size=len(cells)) for name in (*THEIRS.values(), "params")})
    table.insert(0, "arch_str", cells)
    table.to_parquet(path)
    return table


def test_accuracies_are_those_after_200_epochs(tmp_path: Path) -> None:
    made = write_benchmark(tmp_path / "table.parquet").set_index("arch_str")
    table = load_benchmark(tmp_path / "table.parquet")
    cells = list(made.index[[5, 0, 9]])
    for dataset in ("cifar10", "cifar100", "imagenet16_120"):
        assert accuracy_of(table, cells, dataset).tolist() == made.loc[cells, f"{dataset}_test_200"].tolist()


@needed
def test_the_real_table_has_the_published_maxima() -> None:
    table = load_benchmark(TABLE)
    best = {
        name: round(float(table[f"{name}_test_200"].max()), 2) for name in ("cifar10", "cifar100", "imagenet16_120")
    }
    assert best == {"cifar10": 94.37, "cifar100": 73.51, "imagenet16_120": 47.31}
    assert (table["cifar10_test_200"] > table["cifar10_test_12"]).mean() > 0.9


FIRST, SECOND = (str(cell) for cell, _ in zip(all_cells(), range(2), strict=False))
VALID = "cifar10_valid_12"


def changed(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The first row's value of a column replaced."""
    return lambda table: table.assign(**{column: [value, *table[column][1:]]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="cifar100_test_200"), "column cifar100_test_200 is missing"),
        (lambda t: t.drop(columns="arch_str"), "column arch_str is missing"),
        (lambda t: t.rename(columns=str.upper), "column arch_str is missing"),
        (lambda t: t.iloc[1:], f"{SIZE - 1} architectures, expected {SIZE}; none is {FIRST}"),
        (lambda t: t.iloc[:0], f"0 architectures, expected {SIZE}; none is {FIRST}"),
        (lambda t: pd.concat([t, t.iloc[:1]]), f"{SIZE + 1} rows, expected {SIZE}; two are of {FIRST}"),
        (changed("arch_str", SECOND), f"{SIZE - 1} architectures, expected {SIZE}; none is {FIRST}"),
        (changed("arch_str", "nothing"), "row 0: a NAS-Bench-201 cell has 6 operations, got 1"),
        (changed("arch_str", f"{FIRST} "), " row 0: "),
        (changed("arch_str", None), ", expected an architecture"),
        (lambda t: t.assign(arch_str=range(SIZE)), "row 0: arch_str is 0, expected an architecture"),
        (changed(VALID, float("nan")), f"{VALID} of {FIRST} is nan, expected 0 to 100 (percent)"),
        (changed(VALID, None), f"{VALID} of {FIRST} is nan, expected 0 to 100 (percent)"),
        (changed(VALID, float("inf")), f"{VALID} of {FIRST} is inf, expected 0 to 100 (percent)"),
        (changed(VALID, 940.0), f"{VALID} of {FIRST} is 940.0, expected 0 to 100 (percent)"),
        (changed(VALID, -0.1), f"{VALID} of {FIRST} is -0.1, expected 0 to 100 (percent)"),
        (lambda t: t.assign(**{VALID: t[VALID] / 100}), f"no {VALID} exceeds 0."),
        (lambda t: t.assign(**{VALID: t[VALID].astype(str)}), f"column {VALID} is of type "),
        (lambda t: t.assign(**{VALID: True}), f"column {VALID} is of type bool, expected accuracies in percent"),
        (lambda t: t.assign(**{VALID: pd.Timestamp(0)}), f"column {VALID} is of type datetime64"),
    ],
)
def test_a_wrong_table_is_one_line(
    tmp_path: Path, benchmark: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    require_refused(change(benchmark), load_benchmark, tmp_path / "table.parquet", message)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A right table."""
    return write_benchmark(tmp_path_factory.mktemp("benchmark") / "table.parquet")


def test_no_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with pytest.raises(GenasError, match=r"table\.parquet: the benchmark's table is missing"):
        load_benchmark(path)
    path.write_bytes(b"no table")
    with pytest.raises(GenasError, match=r"table\.parquet: no parquet file"):
        load_benchmark(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(GenasError, match="folder: no folder of NATS-Bench"):
        load_benchmark(tmp_path / "folder")


def test_the_official_folder_is_read_by_its_own_package(tmp_path: Path) -> None:
    """A folder of the official form, two architectures of two trials, written with the package's own classes."""
    from nats_bench.api_utils import ArchResults, ResultsCount, pickle_save

    cells = [str(cell) for cell, _ in zip(all_cells(), range(2), strict=False)]
    pickle_save({"meta_archs": cells}, str(tmp_path / "meta.pickle"))
    evaluated = {"cifar10-valid": ["x-valid"], "cifar10": ["ori-test"], "cifar100": ["x-valid", "x-test"]}
    evaluated["ImageNet16-120"] = ["x-valid", "x-test"]

    def accuracy(index: int, epochs: int, dataset: str, split: str, seed: int) -> float:
        return index + epochs + 10 * list(evaluated).index(dataset) + 3 * (split == "x-valid") + seed / 1000

    for index, cell in enumerate(cells):
        by_epochs = {}
        for epochs in (12, 200):
            results = ArchResults(index, cell)
            for dataset, splits in evaluated.items():
                for seed in (777, 888):
                    trained = dict.fromkeys(range(epochs), 50.0)
                    one = ResultsCount(dataset, None, trained, trained, 1.0, 1.0, {}, seed, epochs, None)
                    for split in splits:
                        value = accuracy(index, epochs, dataset, split, seed)
                        one.update_OLD_eval(split, dict.fromkeys(range(epochs), value), trained)
                    results.update(dataset, seed, one)
            by_epochs[str(epochs)] = results.state_dict()
        pickle_save(by_epochs, str(tmp_path / f"{index:06d}.pickle"))
    table = _official(tmp_path).set_index("arch_str")
    for index, cell in enumerate(cells):
        for name, (dataset, epochs, metric) in COLUMNS.items():
            split = "x-valid" if metric.startswith("valid") else "x-test"
            both = [accuracy(index, int(epochs), dataset, split, seed) for seed in (777, 888)]
            assert table.loc[cell, name] == pytest.approx(np.mean(both)), name


@pytest.fixture(scope="module")
def robustness(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A right table of accuracies under attack."""
    return write_robustness(tmp_path_factory.mktemp("robustness") / "robustness.parquet")


@pytest.fixture(scope="module")
def zero_cost(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A right table of other people's measures."""
    return write_zero_cost(tmp_path_factory.mktemp("zero_cost") / "zero_cost.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[["arch_str"]], "no column is an attack such as fgsm_1, attacks are fgsm, pgd, apgd, square"),
        (lambda t: t.drop(columns="arch_str"), "column arch_str is missing"),
        (lambda t: t[1:], f"{SIZE - 1} architectures, expected {SIZE}; none is {FIRST}"),
        (lambda t: pd.concat([t, t[:1]]), f"{SIZE + 1} rows, expected {SIZE}; two are of {FIRST}"),
        (changed("fgsm_1", -1.0), f"fgsm_1 of {FIRST} is -1.0, expected 0 to 100 (percent)"),
        (changed("fgsm_1", np.nan), f"fgsm_1 of {FIRST} is nan, expected 0 to 100 (percent)"),
        (lambda t: t.assign(fgsm_1="a"), "column fgsm_1 is of type "),
        (lambda t: t.assign(**{"fgsm_1": 0.5, "square_0.5": 0.5}), "no accuracy exceeds 0.5, expected percent, not "),
    ],
)
def test_a_wrong_table_of_attacks_is_one_line(
    tmp_path: Path, robustness: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    require_refused(change(robustness), load_robustness, tmp_path / "robustness.parquet", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="jacov_cifar10"), "column jacov_cifar10 is missing"),
        (changed("jacov_cifar10", np.inf), "jacov_cifar10 of |none~0|+|none~0|none~1|+|none~0|none~1|none~2| is no"),
        (lambda t: t.assign(jacov_cifar10="a"), "column jacov_cifar10 is of type "),
        (changed("arch_str", "nothing"), "row 0: a NAS-Bench-201 cell has 6 operations, got 1"),
        (lambda t: pd.concat([t, t[:1]]), "9446 rows, expected 9445; two are of "),
        (lambda t: t[:0], "no architecture is in it"),
    ],
)
def test_a_wrong_table_of_zero_cost_measures_is_one_line(
    tmp_path: Path, zero_cost: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    require_refused(change(zero_cost), load_zero_cost, tmp_path / "zero_cost.parquet", message)


def test_right_tables_beside_the_benchmark_are_read_by_architecture(
    tmp_path: Path, robustness: pd.DataFrame, zero_cost: pd.DataFrame
) -> None:
    for table in (robustness, zero_cost):
        table.iloc[::-1].to_parquet(tmp_path / "table.parquet")
        load = load_robustness if table is robustness else load_zero_cost
        assert load(tmp_path / "table.parquet").loc[table["arch_str"][7]].tolist() == table.iloc[7, 1:].tolist()
        with pytest.raises(GenasError, match=r"none\.parquet: the table of .* is missing"):
            load(tmp_path / "none.parquet")


# ---- the stage ------------------------------------------------------------------------------------------------------


def another_seed(folder: Path) -> None:
    """The readings of a second run: those of the first, each a little different."""
    table = pd.read_parquet(folder / "small-darts-0" / "scores.parquet")
    read = table.select_dtypes("float").columns.difference(["params", "macs"])
    table[read] *= 1 + 0.1 * np.random.default_rng(1).random((len(table), len(read)))
    (folder / "small-darts-1").mkdir()
    table.to_parquet(folder / "small-darts-1" / "scores.parquet", index=False)


def made_up_of(cells: Sequence[Cell201], settings: Settings201) -> pd.DataFrame:
    """Made-up readings, but for the architectures, their parameters and multiply-adds."""
    table = made_up(len(cells))[0].assign(architecture=[str(cell) for cell in cells])
    table[["params", "macs"]] = np.array([nasbench201_cost(cell) for cell in cells], dtype=np.float64)[:, :2]
    for noise, about in settings.noises.items():
        for draw in range(about.draws):
            for i, sigma in enumerate(about.sigma):
                table[f"{noise}_{draw}_{i}"] = table["loss"] * (1 + sigma)
    return table


def read_by_hand(tiny: Tiny) -> None:
    """The readings of a first run."""
    settings = load_params(tiny.root).nasbench201.required
    table = made_up_of(sample(settings.architectures), settings)
    for i in range(len(settings.measures.flatness.sigma)):
        table[f"hessian_0_{i}"] = table["loss"].where(table.index < 2)
    folder = tiny.root / "out/nasbench201/small-darts-0"
    folder.mkdir(parents=True)
    table.to_parquet(folder / "scores.parquet", index=False)


def in_brief(path: Path, tiny: Tiny) -> None:
    """A table of readings as a snapshot has it: of the noises the deviations of the paper's measure alone."""
    table, settings = pd.read_parquet(path), load_params(tiny.root).nasbench201.required
    taken = [table[f"curve_0_{settings.noises['curve'].sigma.index(s)}"] for s in settings.measures.flatness.sigma]
    others = [name for noise in settings.noises for name in table if name.startswith(f"{noise}_")]
    table = table.drop(columns=[*others, *ZERO_COST])
    table.assign(**{f"curve_0_{i}": column for i, column in enumerate(taken)}).to_parquet(path, index=False)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Tiny:
    """A profile whose two runs, and a snapshot, are judged by a made-up benchmark."""
    import shutil

    root = tmp_path_factory.mktemp("root")
    shutil.copytree(small_data / "small", root / "small")
    write_benchmark(root / "nasbench201" / "nasbench201.parquet")
    write_robustness(root / "nasbench201" / "robustness.parquet")
    write_zero_cost(root / "nasbench201" / "zero_cost.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(root))
        patch.setattr(combine, "LARGEST", 2)
        tiny = with_laboratory(make_tiny(tmp_path_factory.mktemp("judged")), architectures=10)
        run = {"dataset": "small", "recipe": "darts"}
        read_by_hand(tiny)
        another_seed(tiny.root / "out/nasbench201")
        (tiny.root / "out/snapshots201").mkdir()
        kept = tiny.root / "out/snapshots201/small-darts-0-1"
        shutil.copytree(tiny.root / "out/nasbench201/small-darts-1", kept)
        in_brief(kept / "scores.parquet", tiny)
        space = tiny.root / "out/space201/small-darts-0"
        space.mkdir(parents=True)
        cells = list(dict.fromkeys([*sample(10), *sample(300)]))
        everything = made_up_of(cells, load_params(tiny.root).nasbench201.required)
        everything.to_parquet(space / "scores.parquet", index=False)
        in_brief(space / "scores.parquet", tiny)
        tiny.change(
            "nasbench201",
            spaces={"small-darts-0": {**run, "seed": 0}},
            settings__recipes__darts__snapshots=[1],
            snapshots={"small-darts-0-1": {**run, "seed": 0, "epoch": 1}},
        )
        context = tiny.context("laboratory", dataset="small", recipe="darts")
        metrics = laboratory.run(context)
        (context.out / "returned").write_text(str(metrics["tau_params"]))
        (tiny.root / "table").write_text(str(root / "nasbench201" / "nasbench201.parquet"))
    return tiny


def test_the_stage_leaves_every_table_and_nothing_else(judged: Tiny) -> None:
    folder = judged.root / "out/laboratory/small-darts/tables"
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    wanted = {"measures", "differences", "table_1", "table_5", "table_6", "table_7", "figure_2", "about", "tried"}
    wanted |= {
        "training_length",
        "space",
        "conditional",
        "fitted",
        "generalisation",
        "protocols",
        "forests",
        "walks",
        "zero_cost",
    }
    assert set(tables) == wanted | {"searched", "judged", "margins", "architectures"}
    assert {path.suffix for path in folder.iterdir()} == {".csv"}
    own = tables["measures"].query("truth == 'cifar10' and measure == 'params' and statistic == 'tau'")
    assert float(own["value"].iloc[0]) > 0.6  # accuracy was made of parameters
    assert float((judged.root / "out/laboratory/small-darts/returned").read_text()) == pytest.approx(
        own["value"].iloc[0]
    )
    assert set(tables["measures"]["measure"]) == {*SCORES, *ZERO_COST, *EVERYWHERE}
    assert tables["table_7"]["architectures"].tolist().count(2) == 6
    assert tables["about"].set_index("what")["count"]["supernets"] == 2
    assert set(tables["protocols"]["architectures of"]) == {"measured in supernets", "whole space"}
    assert set(tables["judged"]["statistic"]) == {"tau", "tau of the best tenth", "pick"}
    assert set(tables["judged"]["score"]) == {tables["searched"]["score"][0], *SCORES, *ZERO_COST, *EVERYWHERE}


def test_every_architecture_is_judged_where_all_were_measured(judged: Tiny) -> None:
    tables = judged.root / "out/laboratory/small-darts/tables"
    measured = pd.read_parquet(judged.root / "out/space201/small-darts-0/scores.parquet")
    truth = accuracy_of(load_benchmark(Path((judged.root / "table").read_text())), measured["architecture"], "cifar100")
    expected = tau(-measured["loss"].to_numpy(), truth)
    space = pd.read_csv(tables / "space.csv").query("statistic == 'tau'").set_index(["truth", "measure"])["value"]
    assert space["cifar100", "loss"] == pytest.approx(expected)
    assert set(space.index.levels[1]) == {*SCORES, *EVERYWHERE}
    sets = pd.read_csv(tables / "protocols.csv").query("truth == 'cifar100' and score == 'loss'")
    own = sets.set_index(["architectures of", "protocol"])
    assert own.loc[("whole space", "all"), ["architectures", "tau"]].tolist() == [
        len(measured),
        pytest.approx(expected),
    ]
    walked = pd.read_csv(tables / "walks.csv").query("`architectures of` == 'whole space'")
    assert {*SCORES, *EVERYWHERE} == set(walked["score"])


def test_a_snapshot_is_judged_beside_the_end(judged: Tiny) -> None:
    """The first seed has a snapshot, which measured what the second one did at the end."""
    table = pd.read_csv(judged.root / "out/laboratory/small-darts/tables/training_length.csv")
    assert table["epochs"].unique().tolist() == [1, 2]
    assert table.groupby("epochs")["seeds"].first().tolist() == [1, 2]
    values = table.set_index(["truth", "measure", "epochs"])["value"]
    measured = pd.read_parquet(judged.root / "out/nasbench201/small-darts-1/scores.parquet")
    truth = load_benchmark(Path((judged.root / "table").read_text()))
    expected = tau(-measured["loss"].to_numpy(), accuracy_of(truth, measured["architecture"], "cifar10"))
    assert values["cifar10", "loss", 1] == pytest.approx(expected)
    expected = tau(
        Stored(measured, load_params(judged.root).nasbench201.required).flatness(),
        accuracy_of(truth, measured["architecture"], "cifar10"),
    )
    assert values["cifar10", "flatness", 1] == pytest.approx(expected)
    assert set(table["measure"]) == set(SCORES)  # what needs no training stands beside the end alone
    whole = pd.read_csv(judged.root / "out/laboratory/small-darts/tables/measures.csv")
    whole = whole[whole["statistic"] == "tau"].set_index(["truth", "measure"])["value"]
    of_the_end = values.xs(2, level="epochs").to_dict()
    assert of_the_end == pytest.approx({key: whole[key] for key in of_the_end})


def test_the_stage_leaves_what_the_first_run_measured_beside_the_truth(judged: Tiny) -> None:
    table = pd.read_csv(judged.root / "out/laboratory/small-darts/tables/architectures.csv")
    measured = pd.read_parquet(judged.root / "out/nasbench201/small-darts-0/scores.parquet")
    assert table.columns.tolist() == ["architecture", "params", "loss", "flatness", "accuracy"]
    for name in ("architecture", "params", "loss"):
        assert table[name].tolist() == measured[name].tolist()
    run = Stored(measured, judged.context("laboratory", dataset="small", recipe="darts").params.nasbench201.required)
    assert table["flatness"].to_numpy() == pytest.approx(run.flatness())
    truth = load_benchmark(Path((judged.root / "table").read_text()))
    assert table["accuracy"].to_numpy() == pytest.approx(accuracy_of(truth, table["architecture"], "cifar10"))


def test_runs_of_other_architectures_are_refused(judged: Tiny) -> None:
    path = judged.root / "out/nasbench201/small-darts-1/scores.parquet"
    before = path.read_bytes()
    table = pd.read_parquet(path)
    table.loc[0, "architecture"] = str(Cell201(("none",) * 6))
    table.to_parquet(path)
    context = judged.context("laboratory", dataset="small", recipe="darts")
    try:
        with pytest.raises(GenasError, match="nasbench201 small-darts-1: other architectures than the runs before it"):
            read_runs(context, laboratory.rows_of(context, "small-darts"), context.params.nasbench201.required)
    finally:
        path.write_bytes(before)


def test_unknown_truths_are_refused(tiny: Tiny) -> None:
    change: dict[str, Any] = {
        "laboratory": {"small-darts": {"dataset": "small", "recipe": "darts", "truths": ["svhn"]}}
    }
    with_laboratory(tiny).change("nasbench201", **change)
    with pytest.raises(GenasError, match=r"nasbench201\.laboratory\.small-darts\.truths\.0"):
        load_params(tiny.root)

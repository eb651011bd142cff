"""The measures judged in the DARTS space, by made-up readings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genas.models.errors import GenasError
from genas.pipeline.config import load_params
from genas.pipeline.laboratory.ranking import tau
from genas.pipeline.measures import ZERO_COST
from genas.pipeline.nasbench301 import judging
from genas.pipeline.nasbench301.benchmark import load_benchmark, table_of
from genas.pipeline.report import laboratory as report
from tests.conftest import Tiny
from tests.pipeline.nasbench301.test_benchmark import write_benchmark
from tests.pipeline.nasbench301.test_measuring import LABORATORY

COUNT = 40


@pytest.fixture
def judged(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A profile with the readings of two supernets, whose loss follows the truth, judged."""
    root = tmp_path / "data"
    write_benchmark(root / "nasbench301.parquet", COUNT)
    monkeypatch.setenv("GENAS_DATA", str(root))
    settings = LABORATORY["nasbench301"]["settings"] | {
        "table": "nasbench301.parquet",
        "top": 5,
        "bootstrap": 20,
        "permutations": 5,
    }
    tiny.change("matrix", nasbench301={"dataset": ["small"], "seed": [0, 1]})
    tiny.change("nasbench301", settings=settings)
    params = load_params(tiny.root)
    known = load_benchmark(table_of(params))
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        made = {"architecture": known.index, "loss": 100 - known["accuracy"].to_numpy() + 0.2 * rng.normal(size=COUNT)}
        for name in (*settings["measured"], "accuracy_as_trained", "loss_as_trained"):
            made[name] = rng.normal(size=COUNT)
        for name in ZERO_COST:
            made[f"trained_{name}"] = rng.normal(size=COUNT)
        for noise, about in params.nasbench301.required.noises.items():
            for draw in range(about.draws):
                for i, sigma in enumerate(about.sigma):
                    made[f"{noise}_{draw}_{i}"] = made["loss"] * (1 + sigma)
        folder = tiny.root / f"out/nasbench301/small-{seed}"
        folder.mkdir(parents=True)
        pd.DataFrame(made).to_parquet(folder / "scores.parquet", index=False)
    context = tiny.context("laboratory301", dataset="small")
    context.out.mkdir(parents=True, exist_ok=True)
    (context.out / "returned").write_text(str(judging.run(context)["tau_loss"]))
    return tiny


def test_the_stage_judges_by_the_surrogate_and_the_page_shows_it(judged: Tiny) -> None:
    folder = judged.root / "out/laboratory301/small/tables"
    tables = {path.stem: pd.read_csv(path) for path in folder.iterdir()}
    known = load_benchmark(table_of(load_params(judged.root)))
    runs = [pd.read_parquet(judged.root / f"out/nasbench301/small-{seed}/scores.parquet") for seed in (0, 1)]
    own = tables["measures"].query("statistic == 'tau'").set_index("measure")
    assert set(own["truth"]) == {judging.TRUTH}
    expected = np.mean([tau(-run["loss"].to_numpy(), known["accuracy"].to_numpy()) for run in runs])
    assert own.loc["loss", "value"] == pytest.approx(expected)
    assert expected > 0.6
    assert float((judged.root / "out/laboratory301/small/returned").read_text()) == pytest.approx(expected)
    assert own["reported"].isna().all(), "the paper has no such experiment"
    assert tables["table_1"]["paper"].isna().all()
    (opponent,) = tables["opponents"].to_dict("records")
    assert (opponent["measure"], opponent["architectures"]) == ("nwot", COUNT)
    assert opponent["value"] == pytest.approx(tau(known["nwot"].to_numpy(), known["accuracy"].to_numpy()))
    other = tables["judged"].query("statistic == 'tau'").set_index("score")
    best, half = tables["searched"]["score"][0], np.arange(COUNT) % 2 == 1
    assert tables["searched"]["tau"].is_monotonic_decreasing
    assert tables["searched"]["tau"][0] > 0.6, "flatness and loss follow the truth here"
    assert other.loc["loss", "value"] == pytest.approx(
        tau(-runs[1]["loss"].to_numpy()[half], known["accuracy"].to_numpy()[half])
    )
    assert best in set(tables["margins"]["score"])
    context = judged.context("laboratory301_report", dataset="small")
    context.out.mkdir(parents=True, exist_ok=True)
    report.run(context)
    text = (context.out / "page.md").read_text()
    assert text.startswith("# NAS-Bench-301 (the truth is a surrogate's), supernets on small\n")
    assert f"## {report.SECTIONS['opponents']}" in text
    assert (context.out / "table_6.png").exists()


def test_a_score_chosen_elsewhere_is_judged_as_it_is(judged: Tiny) -> None:
    name, runs = (
        "synflow * loss",
        [pd.read_parquet(judged.root / f"out/nasbench301/small-{seed}/scores.parquet") for seed in (0, 1)],
    )
    context, settings = judged.context("laboratory301", dataset="small"), load_params(judged.root).nasbench301.required
    tiny = settings.model_dump(mode="json") | {"chosen": [name]}
    judged.change("nasbench301", settings=tiny)
    judging.run(judged.context("laboratory301", dataset="small"))
    table = pd.read_csv(context.out / "tables/measures.csv").query("statistic == 'tau'").set_index("measure")
    truth = load_benchmark(table_of(load_params(judged.root)))["accuracy"].to_numpy()
    products = [run["synflow"].rank() * (-run["loss"]).rank() for run in runs]
    assert table.loc[name, "value"] == pytest.approx(np.mean([tau(product.to_numpy(), truth) for product in products]))
    judged.change("nasbench301", settings=tiny | {"chosen": ["synflow * depth"]})
    with pytest.raises(GenasError, match=r"score 'synflow \* depth': no reading is called 'depth', there are flatness"):
        judging.run(judged.context("laboratory301", dataset="small"))


def test_opponents_are_judged_on_the_architectures_that_have_them(judged: Tiny) -> None:
    params = load_params(judged.root)
    known = load_benchmark(table_of(params))
    known.loc[known.index[:15], "nwot"] = np.nan
    context = judged.context("laboratory301", dataset="small")
    settings = params.nasbench301.required
    runs = judging.read_runs(context, [("nasbench301", "small-0")], settings)
    truth = known["accuracy"].to_numpy()
    (row,) = judging.opponents(runs, known, truth, settings).to_dict("records")
    assert row["architectures"] == COUNT - 15
    assert row["value"] == pytest.approx(tau(known["nwot"].to_numpy()[15:], truth[15:]))

"""The search stage: what it proposes, leaves, survives and refuses."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genas.models.errors import GenasError
from genas.models.spaces.darts.cost import network_cost
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.pipeline.config import MeasureParams
from genas.pipeline.measures import accuracy, flatness
from genas.pipeline.scoring.measuring import with_scorer
from genas.pipeline.search import stage as search
from genas.pipeline.search.evolution import propose
from tests.conftest import Killed, Tiny, kill_at, killed_ten_times, make_tiny

FLATNESS = {"dataset": "small", "metric": "flatness", "seed": "0"}
ACCURACY = {"dataset": "small", "metric": "accuracy", "seed": "0"}
FILES = ("genotype.json", "candidates.parquet", "history.csv")


def table_of(profile: Tiny, row: str) -> pd.DataFrame:
    return pd.read_parquet(profile.root / "out/search" / row / "candidates.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_data: Path, trained_outputs: Path) -> dict[str, Any]:
    """A search by flatness from beginning to end: its metrics and the content of its files."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        profile = make_tiny(root)
        shutil.copytree(trained_outputs, root / "out", dirs_exist_ok=True)
        metrics = search.run(profile.context("search", **FLATNESS))
    files = {name: profile.bytes_of("search", "small-flatness-0", name) for name in FILES}
    return {"root": root, "metrics": metrics, "files": files, "table": table_of(profile, "small-flatness-0")}


def test_a_run_leaves_the_winner_and_every_candidate_with_every_term(whole: dict[str, Any]) -> None:
    table = whole["table"]
    assert table.columns.tolist() == [
        "encoding", "generation", "flatness", "loss_0", "loss_1", "loss_2", "score", "error"
    ]  # fmt: skip
    assert table["generation"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert table["encoding"].is_unique
    assert table["score"].notna().all()
    assert (table["error"] == "").all()
    assert table["score"].tolist() == pytest.approx((table["flatness"] / 0.002).tolist())
    winner = table.loc[table["score"].idxmax()]
    content = json.loads(whole["files"]["genotype.json"])
    assert content["encoding"] == [int(i) for i in winner["encoding"].split()]
    assert (content["metric"], content["score"]) == ("flatness", winner["score"])
    assert Genotype.from_dict(content).require_two_inputs()


@pytest.mark.parametrize("asked", ["auto", "plain"])
def test_the_row_notes_its_scorer(trained: Tiny, asked: str) -> None:
    trained.change("measures", scorer=asked)
    context = trained.context("search", **FLATNESS)
    used = with_scorer(context)
    assert context.notes == {"scorer": used.params.measures.scorer}
    assert used.params.measures.scorer in ({"native", "fast"} if asked == "auto" else {"plain"})


def test_the_metrics_are_the_winners(whole: dict[str, Any]) -> None:
    metrics, best = whole["metrics"], whole["table"].loc[whole["table"]["score"].idxmax()]
    for name in ("score", "flatness", "loss_0", "loss_1", "loss_2"):
        assert metrics[name] == best[name]
    cost = network_cost(Genotype.from_dict(json.loads(whole["files"]["genotype.json"])), 224, width=48, layers=14)
    assert (metrics["params"], metrics["macs"]) == tuple(cost)
    assert (metrics["candidates"], metrics["quarantined"]) == (12, 0)
    assert json.loads(json.dumps(metrics)) == metrics


def test_the_history_is_that_of_the_candidates(whole: dict[str, Any]) -> None:
    history = pd.read_csv(whole["root"] / "out/search/small-flatness-0/history.csv")
    groups = whole["table"].groupby("generation")["score"]
    assert history["best"].tolist() == pytest.approx(groups.max().cummax().tolist())
    assert history["median"].tolist() == pytest.approx(groups.median().tolist())
    assert history["worst"].tolist() == pytest.approx(groups.min().tolist())


def test_nothing_stays_in_the_scratch_folder(whole: dict[str, Any]) -> None:
    assert not list((whole["root"] / ".scratch").iterdir())


@pytest.mark.parametrize("generation", [0, 2])
def test_a_killed_search_goes_on_and_ends_like_a_whole_one(
    trained: Tiny, whole: dict[str, Any], generation: int
) -> None:
    with pytest.raises(Killed):
        search.run(trained.context("search", kill_at(generation), **FLATNESS))
    assert not (trained.root / "out/search/small-flatness-0/genotype.json").exists()
    resumed: list[int] = []
    metrics = search.run(trained.context("search", lambda step, _: resumed.append(step), **FLATNESS))
    assert resumed == list(range(generation, 3))
    assert metrics == whole["metrics"]
    for name in ("genotype.json", "candidates.parquet", "history.csv"):
        assert trained.bytes_of("search", "small-flatness-0", name) == whole["files"][name]


@pytest.mark.slow
def test_two_workers_find_what_one_finds(trained: Tiny, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_WORKERS", "2")
    assert search.run(trained.context("search", **FLATNESS)) == whole["metrics"]
    for name in ("genotype.json", "candidates.parquet", "history.csv"):
        assert trained.bytes_of("search", "small-flatness-0", name) == whole["files"][name]


def test_a_combined_metric_keeps_the_terms_of_both(trained: Tiny) -> None:
    trained.change("search", small__generations=1, small__population=2, small__mutated=0, small__crossed=0)
    metrics = search.run(trained.context("search", dataset="small", metric="angle_flatness", seed="0"))
    assert metrics["score"] == pytest.approx(metrics["angle"] / math.pi + 16 * metrics["flatness"] / 0.002)


def test_a_candidate_that_fails_is_kept_in_quarantine(trained: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first raises, the second gives no number; neither wins, neither stops the search."""
    real, calls = accuracy.summarise, []

    def summarise(means: Any, params: MeasureParams) -> dict[str, Any]:
        calls.append(means)
        if len(calls) == 1:
            raise RuntimeError("out of\n  memory")
        return {**real(means, params), **({"accuracy": math.nan} if len(calls) == 2 else {})}

    monkeypatch.setattr(accuracy, "summarise", summarise)
    metrics = search.run(trained.context("search", **ACCURACY))
    assert (metrics["candidates"], metrics["quarantined"]) == (12, 2)
    table = table_of(trained, "small-accuracy-0")
    assert table["score"].isna().tolist() == [True, True] + [False] * 10
    assert table["error"].tolist()[:3] == ["RuntimeError: out of memory", "accuracy is nan", ""]
    assert math.isfinite(metrics["score"])
    history = pd.read_csv(trained.root / "out/search/small-accuracy-0/history.csv")
    assert history.notna().all(axis=None)


def test_a_search_in_which_all_fail_says_why_in_one_line(trained: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(probe: Any, genotype: Genotype, part: slice, params: Any) -> Any:
        raise ValueError("no such luck")

    monkeypatch.setattr(flatness, "observe", observe)
    with pytest.raises(GenasError) as caught:
        search.run(trained.context("search", **FLATNESS))
    assert str(caught.value) == (
        "search small-flatness-0: no candidate could be scored, the first failed with ValueError: no such luck"
    )


def test_a_mistake_of_the_programme_is_no_quarantine(trained: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "summarise", lambda means, params: {"acuracy": 1.0})
    with pytest.raises(KeyError):
        search.run(trained.context("search", **ACCURACY))


def test_random_search_proposes_at_random_in_every_generation(trained: Tiny) -> None:
    trained.change("metrics", flatness={"terms": {"flatness": 1}, "combine": "sum", "strategy": "random"})
    search.run(trained.context("search", **FLATNESS))
    seen: set[Genotype] = set()
    expected = [
        " ".join(map(str, genotype.encode()))
        for generation in range(3)
        for genotype in propose([], seen, trained.context("search", **FLATNESS).params.search["small"], rng(generation))
    ]
    assert table_of(trained, "small-flatness-0")["encoding"].tolist() == expected


def test_without_a_strategy_the_first_cell_that_is_drawn_wins(trained: Tiny) -> None:
    trained.change("metrics", flatness={"terms": {"flatness": 1}, "combine": "sum", "strategy": "none"})
    metrics = search.run(trained.context("search", **FLATNESS))
    drawn = random_genotype(rng(0))
    assert metrics["candidates"] == 1
    assert Genotype.load(trained.root / "out/search/small-flatness-0/genotype.json") == drawn


def rng(generation: int) -> np.random.Generator:
    return np.random.default_rng([0, 4, generation])


def test_ranks_are_among_all_candidates(trained: Tiny) -> None:
    trained.change("metrics", accuracy__combine="rank", accuracy__terms={"accuracy": 1, "macs": 1})
    trained.change("search", small__generations=2)
    metrics = search.run(trained.context("search", **ACCURACY))
    table = table_of(trained, "small-accuracy-0")
    ranks = table["accuracy"].rank() / 8 + table["macs"].rank() / 8
    assert table["score"].tolist() == pytest.approx(ranks.tolist())
    assert metrics["score"] == table["score"].max()


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_bytes_of_a_whole_one(trained: Tiny) -> None:
    trained.change("search", small__generations=12, small__population=10, small__mutated=4, small__crossed=4)
    whole, resumed = killed_ten_times(trained, "search", FLATNESS, FILES)
    assert resumed == whole


def test_seeds_apart_change_each_what_is_theirs(trained: Tiny, whole: dict[str, Any]) -> None:
    """One supernet for all of them. Of equal seeds a search has the bytes of the one that has a single seed."""

    def run(noise: str, seed: str) -> pd.DataFrame:
        axes = {"dataset": "small", "metric": "flatness", "supernet": "0", "noise": noise, "seed": seed}
        metrics = search.run(trained.context("reseed", **axes))
        assert metrics["candidates"] == 12
        return pd.read_parquet(trained.root / f"out/reseed/small-flatness-0-{noise}-{seed}/candidates.parquet")

    run("0", "0")
    for name in FILES:
        assert trained.bytes_of("reseed", "small-flatness-0-0-0", name) == whole["files"][name]
    noisy, other = run("1", "0"), run("0", "1")
    first, own = whole["table"][:4], noisy[:4]
    assert own["encoding"].tolist() == first["encoding"].tolist(), "the same proposals"
    assert (own["flatness"] != first["flatness"]).all(), "under another noise"
    assert not set(other["encoding"][:4]) & set(first["encoding"]), "other proposals"

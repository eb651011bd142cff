"""Other gammas for candidates that are already measured."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genas.pipeline.analysis import rerank
from genas.pipeline.analysis.rerank import weighed
from genas.pipeline.search import stage as search
from genas.pipeline.search.evolution import flatness_share
from tests.conftest import Tiny, make_tiny, metric_of

SEARCH = "small-angle_flatness-0"


@pytest.fixture(scope="module")
def searched_outputs(tmp_path_factory: pytest.TempPathFactory, small_data: Path, trained_outputs: Path) -> Path:
    """The ``out`` folder of a finished search by angle and flatness, the supernet gone."""
    root = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        profile = make_tiny(root)
        shutil.copytree(trained_outputs, root / "out", dirs_exist_ok=True)
        search.run(profile.context("search", dataset="small", metric="angle_flatness", seed="0"))
    shutil.rmtree(root / "out" / "supernet")
    return root / "out"


@pytest.fixture
def searched(tiny: Tiny, searched_outputs: Path) -> Tiny:
    shutil.copytree(searched_outputs, tiny.root / "out", dirs_exist_ok=True)
    return tiny


def table(profile: Tiny, stage: str, row: str) -> pd.DataFrame:
    return pd.read_parquet(profile.root / "out" / stage / row / "candidates.parquet")


def test_the_searchs_own_gamma_gives_the_search_again(searched: Tiny) -> None:
    metrics = rerank.run(searched.context("rerank", search=SEARCH, gamma="16"))
    pd.testing.assert_frame_equal(table(searched, "rerank", f"{SEARCH}-16"), table(searched, "search", SEARCH))
    ours, theirs = (
        json.loads(searched.bytes_of(stage, row, "genotype.json"))
        for stage, row in (("rerank", f"{SEARCH}-16"), ("search", SEARCH))
    )
    assert ours["encoding"] == theirs["encoding"]
    assert (ours["search"], ours["gamma"]) == (SEARCH, 16)
    assert metrics["score"] == theirs["score"]


@pytest.mark.parametrize("gamma", ["0", "0.5"])
def test_scores_are_those_of_equation_5(searched: Tiny, gamma: str) -> None:
    metrics = rerank.run(searched.context("rerank", search=SEARCH, gamma=gamma))
    found = table(searched, "rerank", f"{SEARCH}-{gamma}")
    expected = found["angle"] / math.pi + float(gamma) * found["flatness"] / 0.002
    assert found["score"].tolist() == pytest.approx(expected.tolist())
    assert metrics["score"] == found["score"].max()
    assert metrics["angle"] == found.loc[found["score"].idxmax(), "angle"]


def test_the_share_of_flatness_by_hand(tiny: Tiny) -> None:
    params = tiny.context("zoo", row="darts_v2_c10").params.measures
    candidates = [
        {"angle": math.pi / 2, "flatness": 0.001, "score": 1.0},
        {"angle": math.pi / 4, "flatness": 0.003, "score": 1.0},
        {"angle": None, "flatness": None, "score": None},
    ]
    metric = weighed(metric_of({"angle": 1, "flatness": 16}), 1.0)
    assert metric.terms == {"angle": 1, "flatness": 1.0}
    # 0.5 and 0.25 of angle beside 0.5 and 1.5 of flatness
    assert flatness_share(candidates, metric, params) == pytest.approx(100 * np.mean([0.5, 1.5 / 1.75]))
    assert flatness_share(candidates, metric_of({"angle": 1}), params) == 0
    assert flatness_share(candidates, metric_of({"flatness": 16}), params) == 100
    nothing = [{"angle": 0.0, "flatness": 0.0, "score": 0.0}]
    assert flatness_share(nothing, metric, params) == 0

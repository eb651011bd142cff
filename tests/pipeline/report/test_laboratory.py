"""The laboratory's page: every table and every picture, from the files of the stage ``laboratory`` alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config import load_params
from pipeline.context import Context
from pipeline.report import laboratory
from tests.pipeline.drawing.made import TABLES, estimates

ALL = (*laboratory.TITLES, "measures")


@pytest.fixture
def shown(profile: Path) -> Path:
    """The folder of a page that was made of small tables."""
    folder = profile / "out/laboratory/digits-darts/tables"
    folder.mkdir(parents=True)
    statistics = [TABLES["measures"].assign(statistic=name) for name in ("tau", "spearman", "precision")]
    measures = pd.concat(statistics, ignore_index=True)
    measures.loc[(measures["measure"] == "params") & (measures["statistic"] == "tau"), "value"] = 0.59
    other = {
        name: pd.DataFrame([estimates(truth="cifar10", paper=np.nan)])
        for name in laboratory.TITLES
        if name not in TABLES
    }
    for name, table in {**TABLES, **other, "measures": measures}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    context = Context("laboratory_report", {"dataset": "digits", "recipe": "darts"}, load_params(profile), profile)
    context.out.mkdir(parents=True)
    laboratory.run(context)
    return context.out


def test_the_page_shows_every_table_and_picture(shown: Path) -> None:
    text = (shown / "page.md").read_text()
    assert text.startswith("# NAS-Bench-201, supernets on digits (recipe darts)\n")
    for title in laboratory.TITLES.values():
        assert f"## {title}" in text
    pictures = {path.name for path in shown.glob("*.png")}
    assert pictures == {"measures.png", "scatter.png", "figure_2.png", "table_6.png", "training_length.png"}
    assert set(re.findall(r"!\[\]\(([^)]+)\)", text)) == pictures
    assert {path.name for path in shown.iterdir()} == pictures | {"page.md"}


def test_measures_stand_best_first_by_their_tau(shown: Path) -> None:
    lines = (shown / "page.md").read_text().splitlines()
    start = lines.index("## Measures against the accuracy on cifar10") + 2
    assert lines[start] == "| measure | tau | spearman | precision | reported tau |"
    usual = "0.500 [0.400, 0.600] ± 0.010"
    assert lines[start + 2] == f"| params | 0.590 [0.400, 0.600] ± 0.010 | {usual} | {usual} |  |"
    assert lines[start + 3] == f"| flatness | {usual} | {usual} | {usual} | 0.600 |"


def test_training_lengths_stand_side_by_side_and_the_best_at_the_end_first() -> None:
    values = {("a", 5): 0.3, ("a", 20): 0.1, ("b", 5): 0.2, ("b", 20): 0.4}
    rows = [
        {**estimates(truth=truth, measure=name, epochs=epochs), "value": value}
        for truth in ("x", "w")
        for (name, epochs), value in values.items()
    ]
    table = laboratory.by_length(pd.DataFrame(rows))
    assert table[["truth", "measure"]].to_numpy().tolist() == [["x", "b"], ["x", "a"], ["w", "b"], ["w", "a"]]
    assert table[5][0].startswith("0.200 [")
    assert table[20][0].startswith("0.400 [")


def test_what_was_not_measured_has_no_heading(shown: Path) -> None:
    tables = {name: pd.read_csv(shown.parents[1] / f"laboratory/digits-darts/tables/{name}.csv") for name in ALL}
    text = laboratory.page("digits", {**tables, "training_length": tables["training_length"].iloc[:0]})
    assert laboratory.TITLES["training_length"] not in text
    assert laboratory.TITLES["table_6"] in text


def test_a_page_shows_estimates_in_one_column() -> None:
    table = pd.DataFrame([{**estimates(truth="a"), "paper": np.nan}])
    assert laboratory.markdown(table).splitlines()[-1] == "| a | 0.500 [0.400, 0.600] ± 0.010 |  |"

"""The laboratory's page: every table and every picture, from the files of the stage ``laboratory`` alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genas.pipeline.config import load_params
from genas.pipeline.context import Context
from genas.pipeline.report import laboratory
from tests.pipeline.drawing.made import TABLES, estimates

PICTURES = {f"{name}.png" for name in ("measures", "scatter", "figure_2", *laboratory.DRAWN)}
COUNTS = {"supernets": 2, "architectures": 10, "distinct architectures": 9}
MADE = {
    "about": pd.DataFrame(COUNTS.items(), columns=["what", "count"]),
    "conditional": pd.DataFrame(
        [estimates(truth="cifar10", measure="flatness", statistic=name) for name in ("tau", "partial tau")]
    ),
    "fitted": pd.DataFrame(
        [
            estimates(truth="cifar10", added=np.nan, statistic="tau"),
            estimates(truth="cifar10", added="angle", statistic="tau"),
            estimates(truth="cifar10", added="angle", statistic="gain"),
        ]
    ),
    "judged": pd.DataFrame(
        [
            estimates(truth="cifar10", score="loss & params", statistic=name)
            for name in ("tau", "tau of the best tenth", "pick")
        ]
    ),
    "protocols": pd.DataFrame(
        {
            "truth": "cifar10",
            "architectures of": "measured in supernets",
            "score": ["loss", "loss", "angle"],
            "protocol": ["all", "distinct", "all"],
            "architectures": [10, 9, 10],
            "tau": [0.5, 0.4, 0.3],
            "spread": [0.1, 0.0, 0.02],
        }
    ),
}


@pytest.fixture
def shown(profile: Path) -> Path:
    """The folder of a page that was made of small tables."""
    folder = profile / "out/laboratory/digits-darts/tables"
    folder.mkdir(parents=True)
    statistics = [TABLES["measures"].assign(statistic=name) for name in (*laboratory.RANKING, *laboratory.TOP)]
    measures = pd.concat(statistics, ignore_index=True)
    measures.loc[(measures["measure"] == "params") & (measures["statistic"] == "tau"), "value"] = 0.59
    other = {
        name: pd.DataFrame([estimates(truth="cifar10", paper=np.nan)])
        for name in laboratory.SECTIONS
        if name not in TABLES
    }
    other |= MADE
    for name, table in {**TABLES, **other, "measures": measures, "space": measures}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    context = Context("laboratory_report", {"dataset": "digits", "recipe": "darts"}, load_params(profile), profile)
    context.out.mkdir(parents=True)
    laboratory.run(context)
    return context.out


def test_the_page_shows_every_table_and_picture(shown: Path) -> None:
    text = (shown / "page.md").read_text()
    assert text.startswith("# NAS-Bench-201, supernets on digits (recipe darts)\n")
    for title in laboratory.SECTIONS.values():
        assert f"## {title}" in text
    pictures = {path.name for path in shown.glob("*.png")}
    assert pictures == PICTURES
    assert set(re.findall(r"!\[\]\(([^)]+)\)", text)) == pictures
    assert {path.name for path in shown.iterdir()} == pictures | {"page.md", "page.html"}
    assert (shown / "page.html").read_text().count('src="data:image/png;base64,') == len(pictures)
    tables = len([line for line in text.splitlines() if line.startswith("| ---")])
    captions = [int(number) for number in re.findall(r"(?m)^\*\*Table (\d+)\.\*\*", text)]
    assert captions == list(range(1, tables + 1))


def test_measures_stand_best_first_by_their_tau(shown: Path) -> None:
    lines = (shown / "page.md").read_text().splitlines()
    start = lines.index("## How well measures rank the accuracy on cifar10") + 4
    assert lines[start] == "| measure | tau | tau of the best tenth | spearman | reported tau |"
    usual = "0.500 [0.400, 0.600] ± 0.010"
    assert lines[start + 2] == f"| params | **0.590 [0.400, 0.600] ± 0.010** | {usual} | {usual} |  |"
    assert lines[start + 3] == f"| flatness | {usual} | {usual} | {usual} | 0.600 |"
    start = lines.index("## What is at the top by each measure, accuracy on cifar10") + 4
    assert lines[start] == "| measure | precision | nDCG | pick | regret |"
    assert lines[start + 2].startswith("| params |")


def test_tables_that_are_laid_out_have_a_row_for_each_score(shown: Path) -> None:
    text = (shown / "page.md").read_text()
    usual = "0.500 [0.400, 0.600] ± 0.010"
    for line in (
        "| score | all (10) | distinct (9) |",
        "| loss | 0.500 ± 0.100 | 0.400 |",
        "| angle | 0.300 ± 0.020 |  |",
        f"| (none) | {usual} |  |",
        f"| angle | {usual} | {usual} |",
        f"| loss & params | {usual} | {usual} | {usual} |",
        f"| flatness | {usual} | {usual} |  |",
        "| kind | truth | flatness | flatness, flat term |",
        "| flatness | 91.00 ± 0.50 | 91.00 ± 0.50 |",
    ):
        assert line in text.splitlines(), line
    assert ".** Architectures: measured in supernets; after 20 evaluations, the best there is 94.37.\n" in text
    assert "here that is 0 of 4; 4 do." in text


def test_the_page_says_what_its_intervals_hold() -> None:
    def said(supernets: int) -> str:
        counts = COUNTS | {"supernets": supernets}
        return laboratory.intervals(pd.DataFrame(counts.items(), columns=["what", "count"]))

    assert "interval over supernet seeds and architectures" in said(5)
    assert "One supernet: intervals of 95 % are over architectures only" in said(1)


def test_a_table_that_was_not_left_is_passed_over(shown: Path) -> None:
    tables = {name: table for name, table in {**TABLES, **MADE}.items() if name not in ("measures", "table_6")}
    statistics = [TABLES["measures"].assign(statistic=name) for name in (*laboratory.RANKING, *laboratory.TOP)]
    text = laboratory.page("NAS-Bench-201", "digits", {**tables, "measures": pd.concat(statistics)})
    assert laboratory.SECTIONS["zero_cost"] not in text
    assert laboratory.SECTIONS["fitted"] in text


def test_training_lengths_stand_side_by_side_and_the_best_at_the_end_first(shown: Path) -> None:
    values = {("a", 5): 0.3, ("a", 20): 0.1, ("b", 5): 0.2, ("b", 20): 0.4}
    rows = [
        {**estimates(truth="x", measure=name, epochs=epochs), "value": value}
        for (name, epochs), value in values.items()
    ]
    (table,) = laboratory.LAID["training_length"](pd.DataFrame(rows))
    caption, _, *lines = table.splitlines()
    assert caption == "**Table.** Accuracy on x."
    assert lines[0] == "| measure | 5 | 20 |"
    assert [line.split(" ")[1] for line in lines[2:]] == ["b", "a"]
    assert lines[2].startswith("| b | 0.200 [0.400, 0.600]")


def test_a_page_shows_estimates_in_one_column() -> None:
    rows = [{**estimates(truth=truth), "paper": paper} for truth, paper in (("a", np.nan), ("b", 0.4))]
    lines = laboratory.markdown(pd.DataFrame(rows)).splitlines()
    assert lines[-2:] == ["| a | 0.500 [0.400, 0.600] ± 0.010 |  |", "| b | 0.500 [0.400, 0.600] ± 0.010 | 0.400 |"]
    assert laboratory.markdown(pd.DataFrame(rows[:1])).splitlines()[0] == "| truth | estimate |", "nothing reported"


def test_the_best_of_a_column_is_bold_by_what_is_best_of_it() -> None:
    values = {("a", "tau"): 0.3, ("b", "tau"): 0.5, ("a", "regret"): 1.0, ("b", "regret"): 2.0}
    table = pd.DataFrame(
        [{**estimates(measure=measure, statistic=name), "value": v} for (measure, name), v in values.items()]
    )
    found = laboratory.by_statistic(table, ("tau", "regret"))
    bold = [[cell.startswith("**") for cell in row] for row in found[["tau", "regret"]].to_numpy()]
    assert bold == [[True, False], [False, True]], "b has the larger tau, a the smaller regret"

"""The report: ours beside the paper's, whatever has run, and the same bytes for the same inputs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from models.errors import GenasError
from pipeline.config import Params, load_params
from pipeline.context import Context
from pipeline.report import paper_tables
from pipeline.report import stage as report
from tests.conftest import tiny_params
from tests.pipeline.conftest import leave_all, write_params


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile whose every row but ``detect@darts`` has run, with its report; read only."""
    root = tmp_path_factory.mktemp("built") / "profile"
    root.mkdir()
    write_params(root)
    report.build(leave_all(root))
    return root


def test_every_table_is_a_file_too(built: Path) -> None:
    folder = built / "out" / "report" / "tables"
    assert sorted(path.name for path in folder.iterdir()) == [f"table{number}.csv" for number in (2, 3, 4, 8)]
    two = pd.read_csv(folder / "table2.csv").set_index(["searched_on", "method"])
    found = two.loc[("CIFAR-10", "Flatness")]
    assert (found["row"], found["top1"], found["paper_top1"], found["params"]) == ("flatness", 81.5, 75.95, 5.2e6)
    assert two.loc[("ImageNet", "Angle"), "state"] == "not run"
    four = pd.read_csv(folder / "table4.csv")
    assert four["paper_miou"].tolist() == [70.68, 71.16, 71.70, 70.84, 71.77, 72.58, 72.05]


def lines(root: Path) -> list[str]:
    return (root / "out" / "report" / "report.md").read_text().splitlines()


def test_ours_stands_beside_the_paper(built: Path) -> None:
    found = lines(built)
    ours = "flatness from search/digits-flatness-0, recipe short"
    assert f"| CIFAR-10 | Flatness | {ours} | 5.2 (5.6) | 580 (610) | 81.50 (75.95) | 98.50 (92.74) |" in found
    assert "| ImageNet | Angle | not run | - (5.4) | - (600) | - (75.09) | - (92.30) |" in found
    darts = "darts from zoo/darts_v2_c10, recipe short"
    assert f"| CIFAR-10 | DARTS | {darts} | 5.2 (4.7) | 580 (570) | 79.00 (73.30) | 98.50 (91.30) |" in found
    assert any(line.startswith("| CIFAR-10 | SANAS | not run, its cell is not published |") for line in found)
    four = f"| CIFAR-100 | GeNAS (Flatness) | {ours} | 5.2 (5.2) | 580 (580) | 61.50 (63.38)"
    assert f"{four} | 5.65 (5.65) | 20.10 (-) | 37.05 (37.05) | 72.58 (72.58) |" in found
    whole = ["5.2", "580", "81.50", "82.50", "98.50", "61.50", "5.65", "20.10", "37.05", "72.58"]
    assert f"| flatness | search/digits-flatness-0 | {' | '.join(whole)} |" in found
    assert any("cannot be compared with the paper's" in line for line in found)


def test_the_page_holds_its_pictures(built: Path) -> None:
    page = (built / "out/report/report.html").read_text()
    named = re.findall(r"\]\((pictures/[^)]+)\)", "\n".join(lines(built)))
    assert len(named) == len(set(named)) == 17
    assert all((built / "out/report" / name).exists() for name in named)
    assert page.count('src="data:image/png;base64,') == 17
    assert "pictures/" not in page
    assert page.count("<table>") == 15
    assert "<title>GeNAS, profile demo</title>" in page


@pytest.mark.usefixtures("undrawn")
def test_other_gammas_stand_beside_table_8(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["rows"]["darts"]["cell"] = "rerank/digits-angle_flatness-0-16"
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report.build(finished)
    row = "| digits-angle_flatness-0 |"
    assert f"{row} rated anew | 0 | not retrained | 0.00 (0.00) | - (75.00) | - (92.31) |" in lines(finished)
    searched = f"{row} searched | 16 | darts, recipe short | 93.00 (89.00) | 79.00 (75.72) | 98.50 (92.46) |"
    assert searched in lines(finished)
    gammas = pd.read_csv(finished / "out/report/tables/table8.csv")
    assert list(zip(gammas["stage"], gammas["gamma"], strict=True)) == [("search", 16)] * 2 + [("rerank", 0)]


@pytest.mark.usefixtures("undrawn")
def test_the_papers_own_recipe_goes_without_saying(finished: Path) -> None:
    """Another one is named in every table that has the paper's numbers."""
    text = (finished / "params.yaml").read_text()
    (finished / "params.yaml").write_text(
        text.replace("recipe: short", "recipe: official").replace("short:", "official:")
    )
    report.build(finished)
    found = lines(finished)
    assert any(
        line.startswith("| CIFAR-10 | Flatness | flatness from search/digits-flatness-0 | 5.2") for line in found
    )
    assert any(line.startswith("| digits-angle_flatness-0 | searched | 16 | angle-flatness | 93.00") for line in found)
    assert not any("recipe official" in line for line in found)


@pytest.mark.usefixtures("undrawn")
def test_a_gamma_that_the_paper_does_not_have(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["matrix"]["rerank"]["gamma"] = [0.25]
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report.build(finished)
    assert "| digits-angle_flatness-0 | rated anew | 0.25 | not retrained | - (-) | - (-) | - (-) |" in lines(finished)


@pytest.mark.usefixtures("undrawn")
def test_the_settings_say_what_a_metric_is(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["metrics"]["mixed"] = {"terms": {"angle": 0.5, "loss": 2}, "combine": "rank", "strategy": "random"}
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report.build(finished)
    (line,) = [line for line in lines(finished) if line.startswith("| metrics |")]
    assert line.endswith("angle_flatness: 1 angle + 16 flatness; mixed: 0.5 angle + 2 loss (rank) (random) |")


def test_the_agreement_of_the_measures(built: Path) -> None:
    found = lines(built)
    assert "### digits-0, 16 architectures" in found
    assert "| flatness | 1.00 | 0.88 |" in found
    assert found[found.index("| images | 1 draws | 4 draws |") + 2] == "| 64 | 12.3 | 6.0 |"


def test_only_the_papers_metrics_stand_beside_the_papers() -> None:
    params = tiny_params()
    params["metrics"] |= {
        "control": {"terms": {"loss": 1}, "combine": "sum", "strategy": "evolution"},
        "ranked": {"terms": {"flatness": 1}, "combine": "rank", "strategy": "evolution"},
        "luck": {"terms": {"flatness": 1}, "combine": "sum", "strategy": "random"},
        "flatter": {"terms": {"flatness": 2}, "combine": "sum", "strategy": "evolution"},
        "mixed": {"terms": {"angle": 1, "flatness": 2}, "combine": "sum", "strategy": "evolution"},
    }
    names = {name: paper_tables.measure_name(Params.model_validate(params), name) for name in params["metrics"]}
    assert names["angle_flatness"] == "Angle + Flatness"
    assert (names["flatness"], names["flatter"]) == ("Flatness", "Flatness"), "a scale of one term orders alike"
    assert (names["control"], names["ranked"], names["luck"], names["mixed"]) == ("", "", "", "")


def test_whole_detectors_and_segmenters_have_their_cost(built: Path) -> None:
    assert "| row | AP | AP50 | AP75 | params (M) | MACs (M) |" in lines(built)
    assert "| flatness | 37.05 | 56.00 | 39.00 | 35 | 200000 |" in lines(built)
    assert "| flatness | 72.58 | 80.00 | 95.00 | 39 | 180000 |" in lines(built)


def test_data_and_times(built: Path) -> None:
    assert "| digits | parquet | `digits0000000000` | train 1400, test 397 | 10 |" in lines(built)
    assert "| search@digits-flatness-0 | 12.3 | cpu | native |" in lines(built)
    assert not any("detect@darts" in line for line in lines(built))


def files_of(root: Path) -> dict[str, bytes]:
    """The files of a report."""
    folder = root / "out/report"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def reported(built: Path, tmp_path: Path) -> Path:
    """A copy of the profile with its report."""
    return shutil.copytree(built, tmp_path / "profile")


@pytest.mark.slow
def test_same_inputs_same_bytes(built: Path, reported: Path) -> None:
    (reported / "out/report/pictures/stale.png").write_bytes(b"")
    report.run(Context("report", {}, load_params(reported), reported))
    assert files_of(reported) == files_of(built)


def test_nothing_has_run(profile: Path) -> None:
    report.build(profile)
    text = "\n".join(lines(profile))
    assert "| CIFAR-10 | Flatness | flatness from search/digits-flatness-0, recipe short, not run | - (5.6) |" in text
    assert text.count("\nnot run") == 9
    assert "| digits | parquet | not run | - | - |" in text
    gamma = "| digits-angle_flatness-0 | searched | 16 | angle-flatness, recipe short |"
    assert f"{gamma} - (89.00) | - (75.72) | - (92.46) |" in text
    assert "### digits-0\n\nnot run" in text


@pytest.mark.usefixtures("undrawn")
def test_half_of_it_has_run(finished: Path) -> None:
    for folder in ("search/digits-flatness-0", "detect/flatness", "retrain/darts"):
        shutil.rmtree(finished / "out" / folder)
    report.build(finished)
    text = "\n".join(lines(finished))
    assert "| digits-flatness-0 | not run |" in text
    assert "darts from zoo/darts_v2_c10, recipe short, not run" in text


@pytest.mark.usefixtures("undrawn")
def test_a_row_of_ones_own(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["matrix"]["zoo"]["row"].append("mine")
    params["rows"]["darts"]["cell"] = "zoo/mine"
    (finished / "params.yaml").write_text(yaml.safe_dump({**params, "profile": "trial"}, sort_keys=False))
    report.build(finished)
    assert any(line.startswith("| darts | zoo/mine | 5.2 | 580 | 79.00 |") for line in lines(finished))
    assert any("a profile of your own" in line for line in lines(finished))


@pytest.mark.usefixtures("undrawn")
def test_a_name_is_no_html(finished: Path) -> None:
    """Somebody else's results, looked at in a browser."""
    script = "<script>alert(1)</script>"
    timing = {"seconds": 1.0, "device": script}
    (finished / "out/retrain/flatness/timing.json").write_text(json.dumps(timing))
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["recipes"]["short"]["optimizer"] = f"\n\n{script}\n\n"
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    page = report.build(finished).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_broken_genotype_is_named_and_an_earlier_report_stays(built: Path, reported: Path) -> None:
    (reported / "out/search/digits-flatness-0/genotype.json").write_text("{}")
    with pytest.raises(GenasError, match=r"genotype\.json"):
        report.build(reported)
    assert files_of(reported) == files_of(built)
    assert sorted(path.name for path in (reported / "out").glob(".report*")) == []


def test_searches_on_the_papers_data_find_their_own_line(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text().replace("digits-", "cifar100-"))
    params["data"]["cifar100"] = {"layout": "cifar100", "digest": "content", "path": "cifar100", "pixels": 32}
    for section in ("supernet", "search"):
        params[section]["cifar100"] = params[section]["digits"]
    params["matrix"]["supernet"]["dataset"] = params["matrix"]["search"]["dataset"] = ["cifar100"]
    params["nasbench201"] = {"runs": {}, "spaces": {}, "snapshots": {}, "laboratory": {}, "settings": None}
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    beside = paper_tables.beside(load_params(finished), paper_tables.TABLE_2)
    assert {(line.dataset, line.method): rows for line, rows in beside if rows} == {
        ("CIFAR-100", "Flatness"): ["flatness"],
        ("CIFAR-100", "Angle + Flatness"): ["angle-flatness"],
    }


def test_the_tables_are_the_papers() -> None:
    """Sums over the columns of the printed tables catch a digit that was typed wrongly."""
    cost = ("params", "macs")
    sums = {
        name: {column: round(sum(line.values.get(column, 0) for line in table), 3) for column in columns}
        for name, table, columns in (
            ("2", paper_tables.TABLE_2, (*cost, "top1", "top5")),
            ("3", paper_tables.TABLE_3, (*cost, "top1", "top5")),
            ("4", paper_tables.TABLE_4, (*cost, "v2_top1", "a_top1", "ap", "miou")),
        )
    }
    assert sums == {
        "2": {"params": 80.8e6, "macs": 8.95e9, "top1": 1133.09, "top5": 1386.95},
        "3": {"params": 109.5e6, "macs": 12.28e9, "top1": 1582.7, "top5": 1755.0},
        "4": {"params": 37.3e6, "macs": 4.17e9, "v2_top1": 441.04, "a_top1": 30.11, "ap": 253.97, "miou": 500.78},
    }


def test_the_ends_of_table_8_are_lines_of_table_2() -> None:
    lines = {line.method: line.values for line in paper_tables.TABLE_2 if line.dataset == "CIFAR-100"}
    for gamma, method in ((0, "Angle"), (16, "Angle + Flatness")):
        for column in ("top1", "top5"):
            assert paper_tables.TABLE_8[gamma][column] == lines[method][column]


def test_a_profile_need_not_have_rows_of_every_stage(profile: Path) -> None:
    params = yaml.safe_load((profile / "params.yaml").read_text())
    params["matrix"] |= {
        "rerank": {"search": [], "gamma": []},
        "agreement": {"dataset": [], "seed": []},
        "zoo": {"row": []},
        "shift": {"row": []},
        "curvature": {"row": []},
        "detect": {"row": []},
        "segment": {"row": []},
    }
    params["rows"] = {name: row for name, row in params["rows"].items() if not row["cell"].startswith("zoo/")}
    (profile / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    page = report.build(profile).read_text()
    assert "Retraining" in page
    assert (profile / "out/report/pictures/graph.png").exists()

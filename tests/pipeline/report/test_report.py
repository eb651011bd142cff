"""The report: ours beside the paper's, whatever has run, and the same bytes for the same inputs."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from genas.models.errors import GenasError
from genas.pipeline.config import REPOSITORY, Params, load_params
from genas.pipeline.context import Context
from genas.pipeline.report import comparison, paper_tables
from genas.pipeline.report import stage as report
from genas.pipeline.report.html import html
from genas.pipeline.report.numbers import over_seeds
from genas.pipeline.results.board import leaderboard
from tests.conftest import tiny_params
from tests.pipeline.conftest import REPEATED, leave, leave_all, write_params
from tests.pipeline.drawing.made import TABLES, estimates
from tests.pipeline.results.test_anatomy import leave_scores

COUNTS = pd.DataFrame({"what": ["supernets", "architectures", "distinct architectures"], "count": [2, 10, 9]})


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


def rest(line: str) -> str:
    """A line of a table without its links."""
    return re.sub(r"(?<!!)\[([^\]]*)\]\([^)]*\)", r"\1", line)


def plain(root: Path) -> list[str]:
    """The lines of a report without links."""
    return [rest(line) for line in lines(root)]


def test_ours_stands_apart_from_the_papers_where_data_differ(built: Path) -> None:
    found = plain(built)
    ours = "flatness, recipe short on digits"
    assert f"| Flatness | digits | {ours} | 5.2 | 580 | **81.50** | **98.50** |" in found
    assert "| Flatness | CIFAR-10 | flatness | 5.6 | 610 | 75.95 | 92.74 |" in found
    assert "| Angle | ImageNet | not run | 5.4 | 600 | 75.09 | 92.30 |" in found
    assert "| DARTS | CIFAR-10 | darts, recipe short on digits | 5.2 | 580 | 79.00 | **98.50** |" in found
    assert "| SANAS | CIFAR-10 | not run, its cell is not published | 4.9 | 550 | 75.20 | 91.70 |" in found
    four = f"| GeNAS (Flatness) | digits | {ours} | 5.2 | 580 | 61.50 | 5.65 | 20.10 | 37.05 | 72.58 |"
    assert four in found
    assert "| GeNAS (Flatness) | CIFAR-100 | flatness | 5.2 | 580 | 63.38 | 5.65 | - | 37.05 | 72.58 |" in found
    whole = ["5.2", "580", "**81.50**", "**82.50**", "**98.50**", "61.50", "5.65", "20.10", "37.05", "72.58"]
    assert f"| flatness | search/digits-flatness-0 | {' | '.join(whole)} |" in found
    assert any("cannot be compared with the paper's" in line for line in found)
    heading = found.index("<details><summary>Not run: 13 of 15 lines. The paper's numbers</summary>")
    assert found.index("| Angle | ImageNet | not run | 5.4 | 600 | 75.09 | 92.30 |") > heading


def as_the_papers(root: Path, **changes: object) -> None:
    """Let networks be trained on ImageNet at the paper's size."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"]["imagenet"] = {"layout": "folder", "digest": "listing", "path": "imagenet"}
    for judge in ("shift", "curvature"):
        params[judge]["trained_on"] = "imagenet"
    for row in params["rows"].values():
        row |= {"dataset": "imagenet", "image_size": 224, "layers": 14, "stem": "imagenet", **changes}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.mark.usefixtures("undrawn")
def test_networks_of_the_papers_size_on_imagenet_stand_beside_the_papers(finished: Path) -> None:
    as_the_papers(finished)
    report.build(finished)
    found = plain(finished)
    row, costs = "flatness, recipe short on imagenet", "5.2 | 5.6 | 580 | 610"
    assert f"| Flatness | digits | {row} | {costs} | **81.50** | 75.95 | **98.50** | 92.74 |" in found
    four = [line for line in found if line.startswith("| GeNAS (Flatness) | digits")][1]
    assert four.endswith("| 61.50 | 63.38 | 5.65 | 5.65 | 20.10 | - | 37.05 | 72.58 |"), (
        "other scenes: no AP beside ours"
    )
    table = pd.read_csv(finished / "out/report/tables/table4.csv").set_index("method")
    assert table.loc["GeNAS (Flatness)", "comparable"] == "params macs v2_top1 a_top1 o_aupr"


@pytest.mark.parametrize(
    ("changes", "classes", "fits"),
    [
        ({}, None, True),
        ({}, 1000, True),
        ({}, 100, False),
        ({"image_size": 160}, None, False),
        ({"layers": 8}, 1000, False),
    ],
    ids=str,
)
def test_what_may_stand_beside_the_papers(profile: Path, changes: dict[str, int], classes: int, fits: bool) -> None:
    """Data and size of the network; how many classes there are is known where the data were looked at."""
    as_the_papers(profile, **changes)
    if classes:
        manifest = profile / "out/data/imagenet/manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps({"classes": [""] * classes}))
    assert comparison.comparable(load_params(profile), profile, "flatness") is fits


def test_the_page_holds_its_pictures(built: Path) -> None:
    page = (built / "out/report/report.html").read_text()
    text = (built / "out/report/report.md").read_text()
    named = re.findall(r"\]\((pictures/[^)]+)\)", text)
    assert len(named) == len(set(named)) == 18
    assert all((built / "out/report" / name).exists() for name in named)
    assert page.count('src="data:image/png;base64,') == 18
    assert "pictures/" not in page
    assert "<title>GeNAS, profile demo</title>" in page


def test_captions_are_numbered_and_stand_with_what_they_tell_of(built: Path) -> None:
    page, text = (built / "out/report" / name for name in ("report.html", "report.md"))
    for kind, count in (("Table", page.read_text().count("<table>")), ("Figure", 18)):
        numbers = [int(number) for number in re.findall(rf"(?m)^\*\*{kind} (\d+)\.\*\*", text.read_text())]
        assert numbers == list(range(1, count + 1)), kind
        captions = re.findall(rf"<figcaption><strong>{kind} (\d+)\.</strong>", page.read_text())
        assert [int(number) for number in captions] == numbers


def test_every_link_leads_somewhere(built: Path) -> None:
    """Anchors on the page, and files of the profile."""
    folder = built / "out/report"
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    anchors = re.findall(r' id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    links = re.findall(r'href="([^"]*)"', page)
    assert set(links) == set(re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", text))
    assert len(links) > 100
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (folder / link).exists(), link


def test_a_row_has_its_parameters_its_metrics_and_what_recorded_it(built: Path) -> None:
    text = "\n".join(plain(built)).split("#### retrain@flatness\n")[1].split("\n####")[0]
    assert "- Retraining: 12.3 s on cpu, scored by native" in text
    assert "- reads data@digits, search@digits-flatness-0; read by shift@flatness, curvature@flatness" in text
    metrics = (built / "out/retrain/flatness/metrics.json").read_bytes()
    assert f"git log --oneline -S {hashlib.md5(metrics).hexdigest()} -- dvc.lock" in text
    assert "    top1 = 81.5\n" in text
    assert "    row.cell: search/digits-flatness-0\n" in text


def test_the_first_screen_says_what_was_found(built: Path) -> None:
    text = "\n".join(plain(built)).split("## What was found\n")[1].split("## Contents")[0]
    size = "5 cells, 32 pixels of digits, recipe short"
    assert (
        f"- Of 3 networks of one size ({size}) the best by top-1 is flatness with 81.50 %, then angle-flatness with "
        "80.25 %, then darts with 79.00 %.\n"
    ) in text
    alone = (
        "V2 61.50 (flatness), A 5.65 (flatness), O AUPR 20.10 (flatness), AP 37.05 (flatness), mIoU 72.58 (flatness)"
    )
    assert f"- Measured of one network alone: {alone}.\n" in text
    assert "other measures of 16 random architectures (digits-0): loss 0.88.\n" in text
    assert "- Every row has one seed" in text
    assert "| row | cell | params (M) | top-1 | V2 | AP | mIoU |" in text
    assert text.count("pictures/first.png") == text.count("\n| row |") == 1
    assert "17 of 20 rows of this profile have run." in text
    assert "- `genas run detect@darts --profile demo`" in text


def test_networks_of_several_data_sets_are_not_compared(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["rows"]["darts"] |= {"dataset": "scenes", "seed": 1}
    params["matrix"]["curvature"]["row"] = ["flatness"]
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    leave(finished, "retrain", "darts", {"top1": 99.0, "top5": 99.5})
    report.build(finished)
    text = "\n".join(plain(finished))
    first = text.split("## What was found\n")[1].split("## Contents")[0]
    assert "- Of 2 networks of one size (5 cells, 32 pixels of digits, recipe short) the best by top-1 is flat" in first
    assert "- Alone in its size (5 cells, 32 pixels of scenes, recipe short) is darts with 99.00 % top-1." in first
    table = first.split("| row | cell |")[1]
    assert "| flatness |" in table
    assert "darts" not in table, "the picture and the table are of one data set"
    digits, scenes = text.split("### Every network retrained on ")[1:]
    assert digits.startswith("digits")
    assert scenes.startswith("scenes")
    assert "| darts |" in scenes.split("###")[0]
    pictures = finished / "out/report/pictures"
    assert {path.name for path in pictures.glob("results_*")} == {"results_digits.png", "results_scenes.png"}


def test_rows_that_differ_in_seeds_have_a_mean_and_a_deviation(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["matrix"]["supernet"]["seed"] = params["matrix"]["search"]["seed"] = [0, 1]
    params["rows"]["again"] = {**params["rows"]["flatness"], "cell": "search/digits-flatness-1"}
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    leave(finished, "retrain", "again", {"top1": 82.5, "top5": 97.5})
    settings = load_params(finished)
    _, text = over_seeds(settings, finished, leaderboard(settings, finished))
    line = "| flatness, again | 82.00 ± 0.71 (n = 2) | - | 98.00 ± 0.71 (n = 2) | - | - | - | - | - |"
    assert rest(text).splitlines()[-1] == line


@pytest.mark.usefixtures("undrawn")
def test_the_papers_tables_have_one_line_for_rows_that_differ_in_seeds(finished: Path) -> None:
    """Those that have run; costs are means."""
    params = copy.deepcopy(REPEATED)
    rows = params["rows"]
    rows["again"] = {**rows["flatness"], "cell": "reseed/digits-flatness-0-1-1", "seed": 1}
    rows["third"] = {**rows["flatness"], "cell": "reseed/digits-flatness-0-0-1", "seed": 2}
    rows["gamma"] = {**rows["angle-flatness"], "seed": 1}
    write_params(finished, params)
    leave(finished, "retrain", "again", {"top1": 82.5, "top5": 97.5, "params": 5.4e6, "macs": 5.8e8})
    leave(finished, "retrain", "gamma", {"top1": 80.75, "top5": 98.5, "params": 5.2e6, "macs": 5.8e8})
    report.build(finished)
    found = plain(finished)
    two = (
        "| Flatness | digits | flatness, recipe short on digits, n = 2 | 5.3 | 580 | **82.00 ± 0.71** | 98.00 ± 0.71 |"
    )
    assert two in found
    eight = "| digits-angle_flatness-0 | searched | 16 | angle-flatness, recipe short on digits, n = 2 | 93.00 ± 0.00 |"
    assert f"{eight} 80.50 ± 0.35 | 98.50 ± 0.00 |" in found
    table = pd.read_csv(finished / "out/report/tables/table2.csv").set_index(["searched_on", "method"])
    line = table.loc[("CIFAR-10", "Flatness")]
    assert (line["row"], line["seeds"], line["top1"]) == ("flatness", 2, 82.0)
    assert line["top1_deviation"] == pytest.approx(0.5**0.5)
    assert table.loc[("ImageNet", "Angle"), "seeds"] == 0


@pytest.mark.usefixtures("undrawn")
def test_the_anatomy_of_a_score_has_a_table_for_each_design(finished: Path) -> None:
    write_params(finished, REPEATED)
    report.build(finished)
    assert "- `genas run replica@digits-0-0 --profile demo`" in plain(finished)
    leave_scores(finished)
    for number, row in enumerate(("0-0", "0-1", "1-0", "1-1")):
        leave(finished, "reseed", f"digits-flatness-0-{row}", {"score": float(number)})
    report.build(finished)
    found = plain(finished)
    (caption,) = [place for place, line in enumerate(found) if "digits: of the variance between architectures" in line]
    assert found[caption].endswith("levels: architecture 3, split 2, supernet 2, noise 2, images 2.")
    assert found[caption + 2] == "| of | flatness | angle |"
    assert found[caption + 4].startswith("| architecture | ")
    assert found[caption + 4].endswith(" | 100.0 |")
    (caption,) = [
        place for place, line in enumerate(found) if "digits, flatness: of the variance of the winner" in line
    ]
    assert found[caption + 4 : caption + 7] == [
        "| noise | 80.0 |",
        "| evolution | 20.0 |",
        "| several together | 0.0 |",
    ]


@pytest.mark.usefixtures("undrawn")
def test_other_gammas_stand_apart_from_table_8(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["rows"]["darts"]["cell"] = "rerank/digits-angle_flatness-0-16"
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report.build(finished)
    row = "| digits-angle_flatness-0 |"
    assert f"{row} rated anew | 0 | not retrained | 0.00 | - | - |" in plain(finished)
    assert f"{row} searched | 16 | darts, recipe short on digits | 93.00 | 79.00 | **98.50** |" in plain(finished)
    assert "| 16 | 89.00 | 75.72 | 92.46 |" in plain(finished)
    gammas = pd.read_csv(finished / "out/report/tables/table8.csv")
    assert list(zip(gammas["stage"], gammas["gamma"], strict=True)) == [("search", 16)] * 2 + [("rerank", 0)]


@pytest.mark.usefixtures("undrawn")
def test_the_papers_own_recipe_goes_without_saying(finished: Path) -> None:
    """Another one is named in every table of the paper."""
    text = (finished / "params.yaml").read_text()
    (finished / "params.yaml").write_text(
        text.replace("recipe: short", "recipe: official").replace("short:", "official:")
    )
    report.build(finished)
    found = plain(finished)
    assert any(line.startswith("| Flatness | digits | flatness | 5.2") for line in found)
    assert any(line.startswith("| digits-angle_flatness-0 | searched | 16 | angle-flatness | 93.00") for line in found)
    assert not any("recipe official" in line for line in found if line.startswith("|"))


@pytest.mark.usefixtures("undrawn")
def test_a_gamma_that_the_paper_does_not_have(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["matrix"]["rerank"]["gamma"] = [0.25]
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report.build(finished)
    assert "- gamma 0.25 of digits-angle_flatness-0" in plain(finished)


@pytest.mark.usefixtures("undrawn")
def test_the_settings_say_what_a_metric_is(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["metrics"]["mixed"] = {"terms": {"angle": 0.5, "loss": 2}, "combine": "rank", "strategy": "random"}
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report.build(finished)
    (line,) = [line for line in lines(finished) if line.startswith("| metrics |")]
    assert line.endswith("angle_flatness: 1 angle + 16 flatness; mixed: 0.5 angle + 2 loss (rank) (random) |")


def test_the_agreement_of_the_measures(built: Path) -> None:
    found = plain(built)
    assert any(line.endswith("digits-0: tau between measures of 16 architectures.") for line in found)
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
    assert "| row | AP | AP50 | AP75 | params (M) | MACs (M) |" in plain(built)
    assert "| flatness | 37.05 | 56.00 | 39.00 | 35 | 200000 |" in plain(built)
    assert "| flatness | 72.58 | 80.00 | 95.00 | 39 | 180000 |" in plain(built)


def test_data_and_times(built: Path) -> None:
    assert "| digits | parquet | `digits0000000000` | train 1400, test 397 | 10 |" in lines(built)
    text = "\n".join(lines(built))
    assert "#### search@digits-flatness-0\n\n- Searches: 12.3 s on cpu, scored by native\n" in text
    assert "#### detect@darts" not in text


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
    text = "\n".join(plain(profile))
    assert "No network has been retrained yet." in text
    assert "0 of 20 rows of this profile have run." in text
    assert text.count("No row of this table has run.") == 4
    assert "| Flatness | CIFAR-10 | flatness, not run | 5.6 | 610 | 75.95 | 92.74 |" in text
    assert "| digits | parquet | not run | - | - |" in text
    assert "- gamma 16 of digits-angle_flatness-0" in text
    for key in ("agreement@digits-0", "search@digits-flatness-0", "retrain@darts", "laboratory@digits-darts"):
        assert f"- `genas run {key} --profile demo`" in text.split("## Contents")[1], "folded where it would stand"
    assert "No row has run yet." in text


@pytest.mark.usefixtures("undrawn")
def test_half_of_it_has_run(finished: Path) -> None:
    for folder in ("search/digits-flatness-0", "detect/flatness", "retrain/darts"):
        shutil.rmtree(finished / "out" / folder)
    report.build(finished)
    text = "\n".join(plain(finished))
    assert "- `genas run search@digits-flatness-0 --profile demo`" in text
    assert "| DARTS | CIFAR-10 | darts, not run | 4.7 | 570 | 73.30 | 91.30 |" in text


@pytest.mark.usefixtures("undrawn")
def test_a_laboratory_has_its_first_tables_and_a_link_to_its_page(finished: Path) -> None:
    folder = finished / "out/laboratory/digits-darts/tables"
    folder.mkdir(parents=True)
    shown = pd.concat([TABLES["measures"].assign(statistic=name) for name in ("tau", "spearman")])
    one = pd.DataFrame([{**estimates(dataset="digits"), "paper": float("nan")}])
    for name, table in {"measures": shown, "about": COUNTS, "table_1": one}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    page = finished / "out/laboratory_report/digits-darts/page.html"
    page.parent.mkdir(parents=True)
    page.touch()
    report.build(finished)
    text = "\n".join(lines(finished))
    assert "### Laboratory: digits-darts" in text
    assert "[Every table and picture](../laboratory_report/digits-darts/page.html)" in text
    assert "| dataset | estimate |\n" in text, "the paper has no supernets on this data set"
    assert "measures in laboratory@digits-darts," in "\n".join(plain(finished)).split("## Contents")[0]


@pytest.mark.usefixtures("undrawn")
def test_a_row_of_ones_own(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["matrix"]["zoo"]["row"].append("mine")
    params["rows"]["darts"]["cell"] = "zoo/mine"
    (finished / "params.yaml").write_text(yaml.safe_dump({**params, "profile": "trial"}, sort_keys=False))
    report.build(finished)
    assert any(line.startswith("| darts | zoo/mine | 5.2 | 580 | 79.00 |") for line in plain(finished))
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
    assert page.count("<script") == 1, "our own"
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("bad", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])
def test_a_link_in_a_name_leads_nowhere(bad: str, tmp_path: Path) -> None:
    page = html(f"[x]({bad}) ![y](../secret.png) ![z]({bad})", "<title>", tmp_path)
    assert bad not in page
    assert "secret" not in page
    assert "<title>&lt;title&gt;</title>" in page


def test_the_browser_runs_our_script_alone_and_fetches_nothing(built: Path) -> None:
    page = (built / "out/report/report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.S)
    assert policy
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy[1] == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r'(?:src|href)="https?:', page)


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
    for stage in ("supernet", "search", "agreement"):
        params["matrix"][stage]["dataset"] = ["cifar100"]
    params["nasbench201"] = {"runs": {}, "spaces": {}, "snapshots": {}, "laboratory": {}, "settings": None}
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    beside = paper_tables.beside(load_params(finished), paper_tables.TABLE_2)
    assert {(line.dataset, line.method): rows for line, rows in beside if rows} == {
        ("CIFAR-100", "Flatness"): ["flatness"],
        ("CIFAR-100", "Angle + Flatness"): ["angle-flatness"],
    }


@pytest.mark.parametrize("table", [paper_tables.TABLE_2, paper_tables.TABLE_3, paper_tables.TABLE_4])
def test_controls_stand_beside_no_line_of_the_paper(table: tuple[paper_tables.Line, ...]) -> None:
    params = load_params(REPOSITORY)
    controls = {"loss", "random", "random_cell", "angle_capacity", "flatness_capacity"}
    rows = {row for _, rows in paper_tables.beside(params, table) for row in rows}
    searched = {
        name: settings.cell.split("/")[1] for name, settings in params.rows.items() if "search/" in settings.cell
    }
    metrics = {name: params.matrix.search.rows()[search]["metric"] for name, search in searched.items()}
    assert controls & set(metrics.values())
    assert not controls & {metrics[row] for row in rows & metrics.keys()}


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

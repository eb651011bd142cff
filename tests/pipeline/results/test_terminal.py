"""The numbers of a profile on a terminal: every digit, and three lines at the end of a run."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from genas.pipeline.config import load_params
from genas.pipeline.results.board import collect, columns_of, leaderboard
from genas.pipeline.results.terminal import closing, show


def shown(root: Path, width: int = 200, terminal: bool = False) -> str:
    stream = io.StringIO()
    show(collect(root), Console(file=stream, width=width, force_terminal=terminal), load_params(root))
    return stream.getvalue()


def test_show_has_a_line_for_each_network(finished: Path) -> None:
    text = shown(finished)
    (line,) = [line for line in text.splitlines() if " flatness " in line and "81.50" in line]
    assert all(value in line for value in ("5.2", "580", "98.50", "61.50", "5.65", "20.10", "37.05", "72.58"))
    (line,) = [line for line in text.splitlines() if "darts " in line and "79.00" in line]
    assert " - " in line
    (line,) = [line for line in text.splitlines() if "39.00" in line]
    assert line.split() == ["flatness", "37.05", "56.00", "39.00", "35", "200000"], "the whole detector's"
    (line,) = [line for line in text.splitlines() if "80.00" in line and "180000" in line]
    assert line.split() == ["flatness", "72.58", "80.00", "95.00", "39", "180000"], "the whole segmenter's"
    assert "supernet" in text
    (line,) = [line for line in text.splitlines() if "digits-angle_flatness-0-16" in line]
    assert "93" in line.split()
    (line,) = [line for line in text.splitlines() if " digits-0 " in line and "0.875" in line]
    assert "16" in line.split()


def test_columns_that_no_network_has_are_left_out(finished: Path) -> None:
    assert " Real" not in shown(finished)
    path = finished / "out" / "shift" / "flatness" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "top5": 1.0, "r_top1": 33.25, "real_top1": 84.5}))
    text = shown(finished)
    assert all(value in text for value in (" Real", "33.25", "84.50"))
    board = leaderboard(load_params(finished), finished)
    assert list(columns_of(board).values())[-5:] == ["O AUPR", "R", "Real", "AP", "mIoU"]
    assert board["flatness"]["top5"] == 98.5, "the retrained network's"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_digit_is_lost_however_narrow_the_terminal(finished: Path, width: int) -> None:
    wide, narrow = (re.sub(r"\x1b\[[0-9;]*m", "", shown(finished, wide, terminal=True)) for wide in (400, width))
    assert max(map(len, narrow.splitlines())) <= width
    assert "…" not in narrow
    values = re.compile(r"\d[\d.e+-]*")
    assert set(values.findall(wide)) == set(values.findall(narrow))
    assert narrow.count("retrained networks") > 1, "in pieces, each with its title"


def test_what_is_piped_has_one_line_a_row(finished: Path) -> None:
    assert shown(finished, 40) == shown(finished, 400)


def test_networks_that_differ_in_seeds_have_their_means_and_deviations(finished: Path) -> None:
    assert "over seeds" not in shown(finished)
    params = yaml.safe_load((finished / "params.yaml").read_text())
    for seed, top1 in ((1, 79.5), (2, 80.5)):
        params["rows"][f"darts_{seed}"] = {**params["rows"]["darts"], "seed": seed}
        folder = finished / f"out/retrain/darts_{seed}"
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps({"top1": top1, "top5": 98.5}))
    (finished / "params.yaml").write_text(yaml.safe_dump(params))
    text = shown(finished)
    assert "networks over seeds, mean ± deviation" in text
    assert re.search(r"(?m)^ darts +3 +79\.67 ± 0\.76 +(- +)?98\.50 ± 0\.00", text)


def test_the_best_is_bold(finished: Path) -> None:
    text = shown(finished, 400, terminal=True)
    assert "\x1b[1m81.50\x1b[0m" in text
    assert "\x1b[1m80.25\x1b[0m" not in text
    assert "\x1b[1m61.50\x1b[0m" not in text, "the only one"


def test_a_run_ends_with_what_was_found_and_where_to_look(finished: Path) -> None:
    best, *rest = closing(finished, "demo")
    assert best == "best    flatness (search/digits-flatness-0): top-1 81.50, AP 37.05, mIoU 72.58"
    assert rest == ["next    genas results --profile demo; genas track ui; genas export ROW"]
    (finished / "out/report").mkdir(exist_ok=True)
    (finished / "out/report/report.html").touch()
    assert closing(finished, "demo")[1] == f"report  {finished / 'out/report/report.html'}"
    (finished / "out/retrain/darts/metrics.json").write_text(json.dumps({"top1": 99.0}))
    assert closing(finished, "demo")[0] == "best    darts (zoo/darts_v2_c10): top-1 99.00"


def test_networks_of_several_data_sets_have_tables_and_best_ones_of_their_own(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["rows"]["angle-flatness"]["dataset"] = "scenes"
    (finished / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    first, second = shown(finished).split("networks retrained on ")[1:]
    assert first.startswith("digits")
    assert "darts" in first
    assert second.startswith("scenes")
    assert "80.25" in second.split("\n\n")[0]
    assert "80.25" not in first
    assert closing(finished, "demo")[:2] == [
        "best    flatness (search/digits-flatness-0) on digits: top-1 81.50, AP 37.05, mIoU 72.58",
        "best    angle-flatness (search/digits-angle_flatness-0) on scenes: top-1 80.25",
    ]


def test_before_anything_has_run(profile: Path) -> None:
    assert "no row has run yet" in shown(profile)
    assert closing(profile, "demo") == ["next    genas results --profile demo; genas track ui; genas export ROW"]

"""The numbers of a profile: collected, joined along the chain."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from genas.models.errors import GenasError
from genas.pipeline.config import load_params
from genas.pipeline.results import board as results
from genas.pipeline.results import records


def test_collect_follows_the_chain(finished: Path) -> None:
    rows = results.collect(finished)
    assert [one["stage"] for one in rows] == [
        *["supernet", "search", "search", "rerank", "rerank", "agreement", "zoo", "retrain", "retrain", "retrain"],
        *["shift", "curvature", "curvature", "detect", "segment"],
    ]
    assert rows[0] == {"stage": "supernet", "row": "digits-0", "metrics": {"top1": 70.5, "loss": 0.31}}
    assert json.loads(json.dumps(rows)) == rows


def test_collect_of_nothing(profile: Path) -> None:
    assert results.collect(profile) == []


def test_collect_ignores_rows_that_the_parameters_do_not_have(finished: Path) -> None:
    stray = finished / "out" / "retrain" / "stray"
    stray.mkdir()
    (stray / "metrics.json").write_text('{"top1": 1.0}')
    assert "stray" not in [one["row"] for one in results.collect(finished)]


def test_values_that_are_not_finite_are_left_out(finished: Path) -> None:
    path = finished / "out" / "detect" / "flatness" / "metrics.json"
    path.write_text('{"ap": NaN, "ap50": 2.0}')  # what Detectron2 gives where nothing was detected
    (detect,) = [one for one in results.collect(finished) if one["stage"] == "detect"]
    assert detect["metrics"] == {"ap50": 2.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"ap": 3', "not the metrics of a row \\(no JSON: "),
        ("", "not the metrics of a row \\(no JSON: "),
        ("[" * 100_000, "not the metrics of a row \\(no JSON: "),
        ("[1]", "a list, expected the metrics of a row$"),
        ('{"ap": "high"}', "ap is 'high', expected a number$"),
        ('{"ap": true}', "ap is True, expected a number$"),
        ('{"ap": 1' + "0" * 400 + "}", "ap is 1000.*, expected a number$"),
    ],
)
def test_metrics_that_were_changed_name_the_file(finished: Path, content: str, message: str) -> None:
    path = finished / "out" / "detect" / "flatness" / "metrics.json"
    path.write_text(content)
    with pytest.raises(GenasError, match=f"^{re.escape(str(path))}: {message}") as caught:
        results.collect(finished)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "row", "name", "content", "message"),
    [
        ("search", "digits-flatness-0", "candidates.parquet", b"PAR1", r"candidates\.parquet: not a readable table \("),
        ("retrain", "flatness", "history.csv", b"", r"history\.csv: not a readable table \("),
        (
            "retrain",
            "flatness",
            "timing.json",
            b'{"seconds": "long"}',
            r"timing\.json: .*, expected seconds and device$",
        ),
        ("supernet", "digits-0", "history.csv", b"a,b\nx,y\n", "supernet/digits-0: not what supernet@digits-0 leaves"),
    ],
)
def test_other_files_that_were_changed_are_named(
    finished: Path, stage: str, row: str, name: str, content: bytes, message: str
) -> None:
    (finished / "out" / stage / row / name).write_bytes(content)
    with pytest.raises(GenasError, match=message) as caught:
        records.full(load_params(finished), finished, (stage, row))
    assert "\n" not in str(caught.value)


def test_without_parameters(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match=r"params\.yaml"):
        results.collect(tmp_path)


def test_leaderboard_joins_along_the_chain(finished: Path) -> None:
    board = results.leaderboard(load_params(finished), finished)
    assert list(board) == ["flatness", "angle-flatness", "darts"]
    top = board["flatness"]
    assert (top["top1"], top["v2_top1"], top["ap"], top["miou"]) == (81.5, 61.5, 37.05, 72.58)
    assert (top["params"], top["macs"]) == (5.2e6, 5.8e8), "the retrained network's, not the detector's"
    searched = json.loads((finished / "out/search/digits-flatness-0/metrics.json").read_text())
    assert top["search_score"] == searched["score"]
    assert "ap" not in board["darts"]
    assert "search_score" not in board["darts"]


def test_a_row_of_another_gamma_has_that_gammas_values(finished: Path) -> None:
    path = finished / "params.yaml"
    path.write_text(path.read_text().replace("zoo/darts_v2_c10", "rerank/digits-angle_flatness-0-16"))
    board = results.leaderboard(load_params(finished), finished)
    assert (board["darts"]["search_score"], board["darts"]["search_flatness_share"]) == (3.5, 93.0)
    assert (board["darts"]["top1"], board["darts"]["params"]) == (79.0, 5.2e6)


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (5_564_000, "params", "5.56"),
        (610.1e6, "macs", "610"),
        (12_345, "params", "0.0123"),
        (2.064e11, "macs", "206400"),
        (76.055, "top5", "76.06"),
    ],
)
def test_numbers(value: float, column: str, text: str) -> None:
    assert results.number(value, column) == text
    assert results.number(None, column) == "-"

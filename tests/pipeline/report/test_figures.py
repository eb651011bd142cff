"""Figures 3 and 4: every row that has run, a sentence that says what is seen, and what is not run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from genas.models.errors import GenasError
from genas.pipeline.config import load_params
from genas.pipeline.drawing.curvature import COLUMNS
from genas.pipeline.report.figures import figure_3, figure_4, seen
from tests.pipeline.conftest import leave_curve


def lines(text: str) -> list[str]:
    """Of a section, without links to rows."""
    return re.sub(r"\[([^\]]*)\]\(#[^)]*\)", r"\1", text).splitlines()


def test_figure_3_shows_every_curve_and_says_what_is_seen(finished: Path, tmp_path: Path) -> None:
    found = lines(figure_3(load_params(finished), finished, tmp_path))
    assert "![](pictures/figure_3.png)" in found
    # Slopes of 10 and 20 nats a unit of sigma up to 0.02; Eq. 4 as the stage has it: 1 / (slope + 0.5 / 0.01).
    assert "| row | cell | top-1 | loss | rise | to sigma | flatness |" in found
    assert "| flatness | search/digits-flatness-0 | **80.00** | **0.5** | **0.2** | 0.02 | **0.0167** |" in found
    assert "| darts | zoo/darts_v2_c10 | **80.00** | **0.5** | 0.4 | 0.02 | 0.0143 |" in found
    before = (tmp_path / "pictures/figure_3.png").read_bytes()
    leave_curve(finished, "darts", 40)
    figure_3(load_params(finished), finished, tmp_path)
    assert (tmp_path / "pictures/figure_3.png").read_bytes() != before


def test_what_is_seen_are_the_best_of_each_kind() -> None:
    measured = {
        "a": {"loss": 1.0, "loss_rise": 0.5, "flatness": 2e-3},
        "b": {"loss": 0.75, "loss_rise": 3.25, "flatness": 1e-3},
        "c": {"loss": 2.0, "flatness": 4.5e-4},  # its rise was not finite
    }
    assert seen(measured) == "Of 3: deepest `b` (0.75), rising least `a` (0.5), flattest by Eq. 4 `a` (0.002)."


WHOLE = ",".join(COLUMNS)


@pytest.mark.parametrize("content", ["sigma,loss\n0,0.5\n", f"{WHOLE}\n0,low,0,80,0\n", f"{WHOLE}\n"])
def test_a_broken_curve_is_named(finished: Path, tmp_path: Path, content: str) -> None:
    (finished / "out/curvature/darts/curve.csv").write_text(content)
    with pytest.raises(GenasError, match=r"out/curvature/darts: not what curvature@darts leaves"):
        figure_3(load_params(finished), finished, tmp_path)


def leave_timing(root: Path, stage: str, row: str, seconds: float, **about: str) -> None:
    (root / "out" / stage / row / "timing.json").write_text(json.dumps({"seconds": seconds, **about}))


def test_figure_4_adds_the_supernet_to_each_search(finished: Path, tmp_path: Path) -> None:
    leave_timing(finished, "supernet", "digits-0", 90, device="cuda")
    leave_timing(finished, "search", "digits-flatness-0", 30, device="cpu", scorer="native")
    leave_timing(finished, "search", "digits-angle_flatness-0", 45, device="cuda", scorer="fast")
    found = lines(figure_4(load_params(finished), finished, tmp_path))
    assert "![](pictures/figure_4.png)" in found
    assert (tmp_path / "pictures/figure_4.png").exists()
    assert "| search | supernet (min) | search (min) | together (min) | hardware |" in found
    assert "| digits-flatness-0 | 1.50 | 0.50 | 2.00 | cuda, cpu, native |" in found
    assert "| digits-angle_flatness-0 | 1.50 | 0.75 | 2.25 | cuda, fast |" in found
    assert any("The paper prints no numbers" in line for line in found)


def test_a_search_whose_supernet_left_no_time_is_left_out(finished: Path, tmp_path: Path) -> None:
    (finished / "out/supernet/digits-0/timing.json").unlink()
    assert figure_4(load_params(finished), finished, tmp_path) == ""
    assert list(tmp_path.glob("pictures/*")) == []


def test_nothing_has_run(profile: Path, tmp_path: Path) -> None:
    for figure in (figure_3, figure_4):
        assert figure(load_params(profile), profile, tmp_path) == ""
    assert list(tmp_path.glob("pictures/*")) == []

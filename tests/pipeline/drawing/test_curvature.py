"""Curves of Figure 3: a line for each network, and as wide a band as their draws differ."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from genas.pipeline.drawing import curvature


def curve(rise: float, deviation: float) -> pd.DataFrame:
    sigma = pd.Series([0.0, 0.01, 0.02])
    columns = {"loss": 1 + rise * sigma, "loss_deviation": deviation, "top1": 90 - sigma, "top1_deviation": 0.0}
    return pd.DataFrame({"sigma": sigma, **columns})


def test_a_line_and_a_band_for_each_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(curvature, "save", lambda figure, path: figures.append(figure))
    curvature.draw_curvature({"flat": curve(10, 0.25), "steep": curve(50, 0.5)}, tmp_path / "curves.png")
    loss, top1 = figures[0].axes
    assert [line.get_label() for line in loss.lines] == ["flat", "steep"]
    for line, expected in zip(loss.lines, ([1, 1.1, 1.2], [1, 1.5, 2]), strict=True):
        assert list(line.get_ydata()) == pytest.approx(expected)
    assert list(top1.lines[1].get_ydata()) == pytest.approx([90, 89.99, 89.98])
    bands = [part.get_paths()[0].get_extents() for part in loss.collections]
    assert [(band.y0, band.y1) for band in bands] == [pytest.approx((0.75, 1.45)), pytest.approx((0.5, 2.5))]


def test_the_same_curves_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "again"):
        curvature.draw_curvature({"flat": curve(10, 0.25)}, tmp_path / name, "title")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()

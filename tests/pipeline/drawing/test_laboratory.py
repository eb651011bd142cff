"""The laboratory's pictures from its tables."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from genas.pipeline.drawing import laboratory
from tests.pipeline.drawing.made import TABLES

NAMES = ("measures", "scatter", "figure_2", "table_6", "generalisation", "walks", "training_length")
PICTURES = [f"{name}.png" for name in NAMES]


def test_every_picture_is_drawn_from_the_files(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for name, table in TABLES.items():
        table.to_csv(tmp_path / "tables" / f"{name}.csv", index=False)
    tables = laboratory.read_tables(tmp_path / "tables")
    for name, table in TABLES.items():
        pd.testing.assert_frame_equal(tables[name], table, check_dtype=False)
    paths = laboratory.draw_laboratory(tables, "cifar10", tmp_path / "drawn")
    assert [path.name for path in paths] == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_labels_of_an_axis_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Figure] = []
    monkeypatch.setattr(laboratory, "save", lambda figure, path: saved.append(figure))
    laboratory.draw_architectures(TABLES["architectures"], tmp_path / "unused.png", "")
    (figure,) = saved
    figure.draw_without_rendering()
    for axes in figure.axes:
        shown = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        assert len(shown) > 2
        assert all(left.x1 < right.x0 for left, right in pairwise(shown))

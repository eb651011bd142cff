"""Curves: what was measured is drawn, what was not is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genas.pipeline.drawing.curves import draw_curves
from tests.pipeline.drawing.made import HISTORY


def test_curves_without_any_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent"):
        draw_curves(HISTORY, "generation", ["absent"], tmp_path / "none.png", "")


def test_curves_skip_what_was_not_measured(tmp_path: Path) -> None:
    frame = pd.DataFrame({"epoch": [0, 1, 2], "loss": [2.0, 1.0, 0.5], "top1": [np.nan] * 3})
    draw_curves(frame, "epoch", ["loss", "top1"], tmp_path / "both.png", "")
    draw_curves(frame, "epoch", ["loss"], tmp_path / "loss.png", "")
    assert (tmp_path / "both.png").read_bytes() == (tmp_path / "loss.png").read_bytes()

"""Curves of a history: one panel a quantity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.style import LINES, named, plain, save


def draw_curves(frame: pd.DataFrame, step: str, columns: Sequence[str], path: Path, title: str) -> None:
    """One panel a column, against ``step``; columns that the frame lacks are left out.

    Raises:
        ValueError: none of the columns is there.
    """
    present = [column for column in columns if column in frame and frame[column].notna().any()]
    if not present:
        raise ValueError(f"none of {list(columns)} is in {list(frame.columns)}")
    figure = Figure(figsize=(4.6 * len(present), 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(present)))
    for axes, column, colour in zip(panels, present, LINES * len(present), strict=False):
        known = frame[[step, column]].dropna()
        axes.plot(known[step], known[column], color=colour, lw=1.6, marker="o" if len(known) < 30 else "", markersize=3)
        axes.set_xlabel(step)
        axes.set_title(named(column), fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        plain(axes)
    figure.suptitle(title, fontsize=12)
    save(figure, path)

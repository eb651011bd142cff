"""Quantities of several rows beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.style import LINES, save


def draw_bars(values: Mapping[str, Mapping[str, float]], path: Path, title: str = "") -> None:
    """One panel a quantity, one bar a row: ``{"top1": {"row": 1.0, ...}, ...}``, the value beside each bar."""
    rows = list(dict.fromkeys(row for panel in values.values() for row in panel))
    figure = Figure(figsize=(1.8 + 3.0 * len(values), 0.9 + 0.34 * len(rows)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(values), sharey=True))
    for axes, (name, panel), colour in zip(panels, values.items(), LINES * len(values), strict=False):
        lengths = [panel.get(row, 0.0) for row in rows]
        bars = axes.barh(rows, lengths, color=colour, alpha=0.75, height=0.65)
        axes.bar_label(
            bars, [f"{panel[row]:.2f}" if row in panel else "not run" for row in rows], padding=3, fontsize=8
        )
        axes.margins(x=0.22)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title(name, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    figure.suptitle(title, fontsize=12)
    save(figure, path)

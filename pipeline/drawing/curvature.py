"""The loss of networks against noise on their weights (Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.style import LINES, plain, save

PANELS = {"loss": "validation loss (nats)", "top1": "top-1 (%)"}
"""Columns of a curve, and how their axes are called."""
COLUMNS = ("sigma", *(f"{name}{suffix}" for name in PANELS for suffix in ("", "_deviation")))
"""Of a curve: means over draws, and their standard deviations."""


def draw_curvature(curves: Mapping[str, pd.DataFrame], path: Path, title: str = "") -> None:
    """Loss and accuracy against sigma, a line for each network, a band of one standard deviation over draws around it.

    Args:
        curves: by the network's name, with the columns :data:`COLUMNS`.
        path: the PNG to write.
        title: above the picture.
    """
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    for axes, (column, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        for colour, (name, curve) in zip(LINES * len(curves), curves.items(), strict=False):
            mean, deviation = curve[column], curve[f"{column}_deviation"]
            axes.plot(curve["sigma"], mean, "o-", color=colour, lw=1.6, markersize=3.5, label=name)
            axes.fill_between(curve["sigma"], mean - deviation, mean + deviation, color=colour, alpha=0.15, lw=0)
        axes.set(xlabel="sigma", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        plain(axes)
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12)
    save(figure, path)

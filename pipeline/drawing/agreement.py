"""How far measures rank alike, and how sure a value of flatness is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.style import LINES, plain, save


def draw_agreement(tau: pd.DataFrame, errors: pd.DataFrame, path: Path, title: str = "") -> None:
    """Rank agreement and the error of flatness.

    Args:
        tau: Kendall's tau between measures, named rows and columns.
        errors: standard error in percent, a row for each number of images, a column for each number of draws.
        path: the PNG to write.
        title: above the picture.
    """
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = left.imshow(tau.to_numpy(), cmap="RdBu", vmin=-1, vmax=1)
    left.set_xticks(range(len(tau)), tau.columns, rotation=30, ha="right")
    left.set_yticks(range(len(tau)), tau.index)
    for (i, j), value in np.ndenumerate(tau.to_numpy()):
        left.text(
            j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color="white" if abs(value) > 0.6 else "black"
        )
    figure.colorbar(shown, ax=left, label="Kendall's tau")
    for (images, row), colour in zip(errors.iterrows(), LINES * len(errors), strict=False):
        right.plot(
            [int(draws) for draws in row.index], row, color=colour, marker="o", markersize=3.5, label=f"{images} images"
        )
    right.set_xlabel("draws")
    right.set_ylabel("standard error of flatness (%)")
    right.set_ylim(bottom=0)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.legend(frameon=False, fontsize=9)
    plain(right)
    figure.suptitle(title, fontsize=12)
    save(figure, path)

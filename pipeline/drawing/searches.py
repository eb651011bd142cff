"""Searches: the score by generation, the losses of the finalists, every candidate as a point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.style import LINES, named, plain, save

FINALISTS = 5
"""Candidates whose loss is drawn against sigma."""


def finalist_losses(table: pd.DataFrame, sigma: Sequence[float]) -> pd.DataFrame | None:
    """The losses at each sigma of the best candidates, a column each, best first, with the sigmas as index; None where
    flatness was not measured."""
    columns = [f"loss_{i}" for i in range(len(sigma))]
    if not set(columns) <= set(table):
        return None
    best = table.dropna(subset=["score"]).sort_values(["score", "encoding"], ascending=[False, True])[:FINALISTS]
    return pd.DataFrame(best[columns].to_numpy().T, index=list(sigma), columns=range(1, len(best) + 1))


def draw_search(history: pd.DataFrame, path: Path, title: str = "", losses: pd.DataFrame | None = None) -> None:
    """Score against generation: the best, the median, and a band from the worst to the best; loss against sigma.

    Args:
        history: columns ``generation``, ``best``, ``median`` and, for the band, ``worst``.
        path: the PNG to write.
        title: above the picture.
        losses: of the finalists, a column each, best first, with the sigmas as index; drawn in a panel beside.
    """
    width = 10.4 if losses is not None else 6.4
    figure = Figure(figsize=(width, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=(6, 4)) if losses is not None else [figure.subplots()]
    _scores(panels[0], history)
    if losses is not None:
        _losses(panels[1], losses)
    figure.suptitle(title, fontsize=12)
    save(figure, path)


def _scores(axes: Axes, history: pd.DataFrame) -> None:
    generation = history["generation"]
    if "worst" in history:
        axes.fill_between(
            generation, history["worst"], history["best"], color=LINES[0], alpha=0.12, lw=0, label="spread"
        )
    axes.plot(generation, history["best"], color=LINES[0], lw=2, marker="o", markersize=3.5, label="best")
    axes.plot(generation, history["median"], color=LINES[1], lw=1.5, ls="--", label="median")
    axes.set_xlabel("generation")
    axes.set_ylabel("score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    plain(axes)


def _losses(axes: Axes, losses: pd.DataFrame) -> None:
    others = axes.plot(losses.index, losses, color=LINES[0], lw=1.1, alpha=0.45, marker="o", markersize=3.5)
    others[0].set(linewidth=2, alpha=1, label="winner")
    axes.set_xlabel("sigma")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.ticklabel_format(axis="x", scilimits=(-2, 4), useMathText=True)
    axes.set_ylabel("validation loss")
    axes.set_title(f"the best {losses.shape[1]}", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    plain(axes)


def draw_scatter(candidates: pd.DataFrame, x: str, y: str, path: Path, title: str = "") -> None:
    """Every candidate of a search by two columns, coloured by generation, the best score marked by a star."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.subplots()
    known = candidates.dropna(subset=[x, y, "score"])
    points = axes.scatter(known[x], known[y], c=known["generation"], cmap="viridis", s=18, alpha=0.75, lw=0)
    figure.colorbar(points, ax=axes, label="generation", ticks=MaxNLocator(integer=True))
    winner = known.iloc[int(np.argmax(known["score"]))]
    axes.scatter(
        [winner[x]], [winner[y]], marker="*", s=190, color=LINES[1], edgecolor="white", label="best score", zorder=3
    )
    axes.set_xlabel(named(x))
    axes.set_ylabel(named(y))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="both", scilimits=(-2, 4), useMathText=True)
    axes.legend(frameon=False, fontsize=9)
    plain(axes)
    axes.set_title(title, fontsize=12)
    save(figure, path)

"""The pictures of what the laboratory asks beyond the paper's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.style import LINES, plain, save

SHOWN = ("flatness", "flatness, flat term")
"""Measures whose partial taus are drawn."""
WALKED = ("flatness", "angle + flatness", "accuracy", "params", "12-epoch validation accuracy")
"""Scores whose searches are drawn."""


def draw_generalisation(table: pd.DataFrame, path: Path, title: str) -> None:
    """Partial tau of flatness and of its flat term with every other truth, with its interval."""
    own = table[(table["statistic"] == "partial tau") & table["measure"].isin(SHOWN)]
    labels = own[["kind", "truth"]].drop_duplicates().reset_index(drop=True)
    figure = Figure(figsize=(8, 0.32 * len(labels) + 1.8), layout="constrained")
    axes = figure.subplots()
    for colour, shift, measure in zip(LINES, (-0.15, 0.15), SHOWN, strict=False):
        found = labels.merge(own[own["measure"] == measure], on=["kind", "truth"])
        places = len(labels) - 1 - np.arange(len(found)) + shift
        axes.hlines(places, found["low"], found["high"], color=colour)
        axes.plot(found["value"], places, "o", color=colour, markersize=4, label=measure)
    axes.set_yticks(np.arange(len(labels))[::-1], [f"{row.truth} ({row.kind})" for row in labels.itertuples()])
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_xlabel("partial tau")
    figure.legend(loc="outside lower center", ncols=len(SHOWN), frameon=False)
    plain(axes)
    figure.suptitle(f"What flatness foretells at equal clean accuracy, parameters and loss\n{title}")
    save(figure, path)


def draw_walks(table: pd.DataFrame, path: Path, title: str) -> None:
    """Mean true accuracy of the winner against evaluations, a panel for each way to search."""
    own = table[table["architectures of"] == table["architectures of"].iloc[0]]
    strategies = list(own["strategy"].unique())
    figure = Figure(figsize=(4 * len(strategies), 3.8), layout="constrained")
    for axes, strategy in zip(
        figure.subplots(1, len(strategies), sharey=True, squeeze=False)[0], strategies, strict=True
    ):
        for colour, name in zip(LINES, WALKED, strict=False):
            curve = own[(own["strategy"] == strategy) & (own["score"] == name)]
            axes.plot(curve["evaluations"], curve["accuracy"], "o-", color=colour, markersize=3, label=name)
        axes.axhline(own["best"].iloc[0], color="black", linewidth=0.5, linestyle="--")
        axes.set(title=strategy, xlabel="architectures scored")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain(axes)
    figure.axes[0].set_ylabel("true accuracy of the winner (%)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right", frameon=False, fontsize=9)
    figure.suptitle(f"What searches find by each score (dashed: the best there is)\n{title}")
    save(figure, path)

"""The laboratory's pictures; see :mod:`pipeline.drawing.pictures` for the manner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.drawing.pictures import LINES, save
from pipeline.nasbench201.laboratory.scores import Stored


def draw_measures(table: pd.DataFrame, path: Path, title: str) -> None:
    """Tau of every measure with its interval, the truths side by side, best first by the first truth."""
    taus = table[table["statistic"] == "tau"]
    truths = list(taus["truth"].unique())
    order = list(taus[taus["truth"] == truths[0]].sort_values("value")["measure"])
    figure = Figure(figsize=(3.4 * len(truths) + 2, 0.3 * len(order) + 1.2), layout="constrained")
    for axes, truth in zip(figure.subplots(1, len(truths), sharey=True, squeeze=False)[0], truths, strict=True):
        own = taus[taus["truth"] == truth].set_index("measure").loc[order]
        places = np.arange(len(own))
        axes.barh(places, own["value"], color=LINES[0], alpha=0.35)
        axes.hlines(places, own["low"], own["high"], color=LINES[0])
        axes.plot(own["reported"], places, "|", color=LINES[1], markersize=12, label="reported")
        axes.set(title=truth, xlabel="Kendall's tau")
        axes.set_yticks(places, order)
        axes.axvline(0, color="black", linewidth=0.5)
    figure.axes[0].legend(loc="lower right", frameon=False)
    figure.suptitle(title)
    save(figure, path)


def draw_losses(table: pd.DataFrame, path: Path, title: str) -> None:
    """Figure 2: mean validation loss against sigma."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for colour, (name, group) in zip(LINES, table.groupby("group", sort=False), strict=False):
        axes.plot(group["sigma"], group["loss"], "o-", color=colour, label=f"{name}-K")
    axes.set(xlabel="sigma", ylabel="validation loss (nats)", title=title)
    axes.set_xscale("symlog", linthresh=5e-4)
    axes.legend(frameon=False)
    save(figure, path)


def draw_alpha(table: pd.DataFrame, path: Path, title: str) -> None:
    """Table 6: tau of flatness by alpha, the paper's beside ours."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for colour, (truth, group) in zip(LINES, table.groupby("truth", sort=False), strict=False):
        places = np.arange(len(group))
        axes.plot(places, group["value"], "o-", color=colour, label=str(truth))
        axes.fill_between(places, group["low"], group["high"], color=colour, alpha=0.15)
        if group["paper"].notna().any():
            axes.plot(places, group["paper"], "x--", color=colour, label=f"{truth}, paper")
        axes.set_xticks(places, [f"{alpha:g}" for alpha in group["alpha"]])
    axes.set(xlabel="alpha", ylabel="Kendall's tau", title=title)
    axes.legend(frameon=False)
    save(figure, path)


def draw_scatter(run: Stored, truth: np.ndarray, path: Path, title: str) -> None:
    """Parameters, validation loss and flatness against the true accuracy, a point for each architecture."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    readings = {"parameters": run.column("params"), "validation loss (nats)": run.column("loss")}
    readings["flatness"] = run.flatness()
    for axes, colour, (name, values) in zip(figure.subplots(1, 3), LINES, readings.items(), strict=False):
        axes.plot(values, truth, ".", color=colour, markersize=3)
        axes.set(xlabel=name, ylabel="test accuracy after 200 epochs (%)")
    figure.suptitle(title)
    save(figure, path)

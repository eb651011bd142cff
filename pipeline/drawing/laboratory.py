"""The pictures of the NAS-Bench-201 laboratory, from the tables that its stage left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genas.pipeline.drawing.questions import draw_generalisation, draw_walks
from genas.pipeline.drawing.style import LINES, plain, save

READINGS = {"params": "parameters (M)", "loss": "validation loss (nats)", "flatness": "flatness (1e-3)"}
"""What the accuracy is drawn against: columns of ``architectures.csv``, and how their axes are called."""
STYLES = ("-", "--", ":", "-.")
"""Of lines, where there are more of them than colours."""
UNITS = {"params": 1e6, "flatness": 1e-3}


Draw = Callable[[pd.DataFrame, Path, str], None]
"""Draws a table to a file under a title."""


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """What the stage ``laboratory`` left in its folder ``tables``, by name."""
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def draw_laboratory(tables: Mapping[str, pd.DataFrame], supernets: str, folder: Path) -> list[Path]:
    """The pictures of those tables that there are, each a PNG of its table's name (that of ``architectures`` is
    ``scatter.png``), of supernets named by what they were trained on and how."""
    title, first = f"supernets on {supernets}", tables["measures"]["truth"].iloc[0]
    titles: dict[str, tuple[Draw, str]] = {
        "measures": (draw_measures, f"How well measures rank true accuracy, {title}"),
        "architectures": (draw_architectures, f"Architectures of {title}, the first seed, {first}"),
        "figure_2": (draw_losses, f"Loss of the K best, middle and worst by {first}\n{title}"),
        "table_6": (draw_alpha, f"How well flatness ranks by alpha\n{title}"),
        "generalisation": (draw_generalisation, title),
        "walks": (draw_walks, f"{title}, accuracy on {first}"),
        "training_length": (draw_training_length, f"How well measures rank, by training length\n{title}"),
    }
    paths = []
    for name, (draw, text) in titles.items():
        if name in tables:
            paths.append(folder / f"{'scatter' if name == 'architectures' else name}.png")
            draw(tables[name], paths[-1], text)
    return paths


def draw_measures(table: pd.DataFrame, path: Path, title: str) -> None:
    """Tau of every measure with its interval, the truths side by side, best first by the first truth."""
    taus = table[table["statistic"] == "tau"]
    truths = list(taus["truth"].unique())
    order = list(taus[taus["truth"] == truths[0]].sort_values("value")["measure"])
    figure = Figure(figsize=(3.4 * len(truths) + 2, 0.3 * len(order) + 1.2), layout="constrained")
    for axes, truth in zip(figure.subplots(1, len(truths), sharey=True, squeeze=False)[0], truths, strict=True):
        measured = taus[taus["truth"] == truth].set_index("measure").loc[order]
        places = np.arange(len(measured))
        axes.barh(places, measured["value"], color=LINES[0], alpha=0.35)
        axes.hlines(places, measured["low"], measured["high"], color=LINES[0])
        axes.plot(measured["reported"], places, "|", color=LINES[1], markersize=12, label="reported")
        axes.set(title=truth, xlabel="Kendall's tau")
        axes.set_yticks(places, order)
        axes.axvline(0, color="black", linewidth=0.5)
    if taus["reported"].notna().any():
        figure.axes[0].legend(loc="lower right", frameon=False)
    figure.suptitle(title)
    save(figure, path)


def draw_training_length(table: pd.DataFrame, path: Path, title: str) -> None:
    """Tau of every measure against the epochs that the supernets were trained for, the truths side by side; the legend
    is in the order of the right ends."""
    truths = list(table["truth"].unique())
    figure = Figure(figsize=(3.6 * len(truths) + 2.4, 4.4), layout="constrained")
    last = table[(table["truth"] == truths[0]) & (table["epochs"] == table["epochs"].max())]
    order = list(last.sort_values("value", ascending=False)["measure"])
    for axes, truth in zip(figure.subplots(1, len(truths), sharey=True, squeeze=False)[0], truths, strict=True):
        for place, name in enumerate(order):
            line = table[(table["truth"] == truth) & (table["measure"] == name)]
            colour, style = LINES[place % len(LINES)], STYLES[place // len(LINES) % len(STYLES)]
            axes.plot(line["epochs"], line["value"], style, color=colour, marker="o", markersize=3, label=name)
        axes.set(title=truth, xlabel="epochs")
        axes.set_xscale("log")
        ticks = list(table["epochs"].unique())
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.axhline(0, color="black", linewidth=0.5)
    figure.axes[0].set_ylabel("Kendall's tau")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right", frameon=False)
    figure.suptitle(title)
    save(figure, path)


def draw_architectures(table: pd.DataFrame, path: Path, title: str) -> None:
    """Parameters, validation loss and flatness against the true accuracy, a point for each architecture."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, colour, (name, label) in zip(figure.subplots(1, 3, sharey=True), LINES, READINGS.items(), strict=False):
        axes.plot(table[name] / UNITS.get(name, 1), table["accuracy"], ".", color=colour, markersize=3)
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        plain(axes)
    figure.axes[0].set_ylabel("true accuracy (%)")
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
    axes.set_xticks([0, *(tick for tick in (1e-3, 1e-2, 1e-1) if tick <= table["sigma"].max())])  # 1e-4 is at 0 here
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

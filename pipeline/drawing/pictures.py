"""The pictures: cells, curves, searches, candidates, the graph. Plain functions from data to a PNG file.

No pyplot: every picture is its own ``Figure``, so that nothing here changes matplotlib's state for others. The same
data gives the same bytes, which is what lets DVC see an unchanged picture as unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from models.spaces.darts.genotype import NODES, Edge, Genotype

LINES = ("#1f6fb4", "#d1495b", "#3a8c5c", "#8a5fb0", "#d98a2b", "#4a4a4a")
"""Colours of lines and points, in order of use."""

OPERATIONS = {
    "max_pool_3x3": "#f6dfa4",
    "avg_pool_3x3": "#efc27b",
    "skip_connect": "#dcdcdc",
    "sep_conv_3x3": "#b5d5ee",
    "sep_conv_5x5": "#7fb6e0",
    "dil_conv_3x3": "#bfe3c0",
    "dil_conv_5x5": "#86c98d",
}
"""One colour an operation; the larger the kernel, the darker."""

STAGES = {
    "data": "#e4e4e4",
    "supernet": "#f6dfa4",
    "search": "#b5d5ee",
    "rerank": "#d3e4f2",
    "agreement": "#d3e4f2",
    "supernet201": "#f6dfa4",
    "nasbench201": "#b5d5ee",
    "laboratory": "#d3e4f2",
    "zoo": "#d8c9ea",
    "retrain": "#bfe3c0",
    "shift": "#f3c6c0",
    "detect": "#f3c6c0",
    "segment": "#f3c6c0",
}


FINALISTS = 5
"""Candidates whose loss is drawn against sigma."""


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def _box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str, size: float) -> None:
    """A rounded box centred on (x, y), in the axes' own units."""
    style = f"round,pad=0,rounding_size={min(width, height) / 4}"
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=colour, edgecolor="#555555", lw=0.8, zorder=3)
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=size, zorder=4)


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def draw_genotype(genotype: Genotype, path: Path, title: str = "") -> None:
    """Both cells side by side, each like a circuit: a node a lane, an operation a box before the node that it feeds.

    Every wire leaves its source downwards and turns into the lane of its target, so wires cross but never hide a
    label, for any cell of the space and for published cells with another number of inputs.
    """
    figure = Figure(figsize=(14, 5.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, name, cell in zip(panels, ("normal", "reduction"), (genotype.normal, genotype.reduce), strict=True):
        _draw_cell(axes, cell)
        axes.set_title(f"{name} cell", fontsize=12)
    if title:
        figure.suptitle(title, fontsize=13)
    save(figure, path)


def _draw_cell(axes: Axes, cell: Sequence[Edge]) -> None:
    """One cell into an empty panel; nodes 0 and 1 are the inputs, 2 to 5 the paper's nodes 0 to 3."""
    x = {0: 0.0, 1: 0.75, **{node: 3.2 + 2.35 * i for i, node in enumerate(NODES)}}
    y = {node: -1.0 * node for node in (0, 1, *NODES)}
    output = x[NODES[-1]] + 1.2
    for node, label in ((0, "$c_{k-2}$"), (1, "$c_{k-1}$")):
        _box(axes, x[node], y[node], 0.66, 0.52, label, "#f1e6f5", 11)
    for node in NODES:
        incoming = [edge for edge in cell if edge.target == node]
        height = min(0.36, 0.84 / len(incoming) - 0.05)
        for i, edge in enumerate(incoming):
            # A wire that comes from further left takes the lower slot of the lane.
            slot = y[node] + (height + 0.06) * (i - (len(incoming) - 1) / 2)
            _draw_edge(axes, x[edge.source], y[edge.source], x[node], slot, y[node], height, edge.operation)
        _box(axes, x[node], y[node], 0.42, 0.52, str(node - 2), "#ffffff", 11)
        axes.plot([x[node], output], [y[node], y[node]], color="#999999", lw=1.2, zorder=1)
    middle = (y[NODES[0]] + y[NODES[-1]]) / 2
    _box(axes, output, middle, 0.55, y[NODES[0]] - y[NODES[-1]] + 0.6, "$c_k$", "#f1e6f5", 12)
    axes.set_xlim(-0.45, output + 0.4)
    axes.set_ylim(y[NODES[-1]] - 0.55, 0.4)
    axes.set_axis_off()


def _draw_edge(
    axes: Axes, x: float, y: float, target: float, slot: float, lane: float, height: float, operation: str
) -> None:
    """A wire from a source down into its slot, the operation's box, and on to the target node."""
    width, centre = 1.5, target - 1.12
    colour = "#7a7a7a"
    axes.plot([x, x, centre], [y, slot, slot], color=colour, lw=1.2, zorder=2, solid_joinstyle="round")
    axes.plot([x], [slot], marker="o", markersize=2.8, color=colour, zorder=2)
    axes.plot([centre, target - 0.2], [slot, lane + (slot - lane) * 0.45], color=colour, lw=1.2, zorder=2)
    _box(axes, centre, slot, width, height, operation.replace("_", " "), OPERATIONS[operation], 8.2)


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
        axes.set_title(column, fontsize=10)
        _plain(axes)
    figure.suptitle(title, fontsize=12)
    save(figure, path)


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
    _plain(axes)


def _losses(axes: Axes, losses: pd.DataFrame) -> None:
    others = axes.plot(losses.index, losses, color=LINES[0], lw=1.1, alpha=0.45, marker="o", markersize=3.5)
    others[0].set(linewidth=2, alpha=1, label="winner")
    axes.set_xlabel("sigma")
    axes.set_xticks(losses.index)
    axes.set_ylabel("validation loss")
    axes.set_title(f"the best {losses.shape[1]}", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    _plain(axes)


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
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(frameon=False, fontsize=9)
    _plain(axes)
    axes.set_title(title, fontsize=12)
    save(figure, path)


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
    _plain(right)
    figure.suptitle(title, fontsize=12)
    save(figure, path)


def draw_bars(values: Mapping[str, Mapping[str, float]], path: Path, title: str = "") -> None:
    """One panel a quantity, one bar a row: ``{"top1": {"row": 1.0, ...}, ...}``, the value beside each bar."""
    rows = list(dict.fromkeys(row for panel in values.values() for row in panel))
    figure = Figure(figsize=(1.8 + 3.0 * len(values), 0.9 + 0.34 * len(rows)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(values), sharey=True))
    for axes, (name, panel), colour in zip(panels, values.items(), LINES * len(values), strict=False):
        lengths = [panel.get(row, 0.0) for row in rows]
        bars = axes.barh(rows, lengths, color=colour, alpha=0.75, height=0.65)
        axes.bar_label(
            bars, [f"{panel[row]:.4g}" if row in panel else "not run" for row in rows], padding=3, fontsize=8
        )
        axes.margins(x=0.22)
        axes.set_title(name, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    figure.suptitle(title, fontsize=12)
    save(figure, path)


def draw_dag(columns: Mapping[str, Sequence[str]], edges: Iterable[tuple[str, str]], path: Path) -> None:
    """The graph from left to right.

    Args:
        columns: rows of each stage, ``{"supernet": ["cifar10-0"], ...}``; stages that do not read each other, such as
            ``agreement`` and ``zoo``, are drawn below one another.
        edges: pairs of ``stage@row``, from what is read to what reads it; those that skip a stage are pale.
        path: the PNG to write.
    """
    shared = {"agreement": "search", "zoo": "search", "detect": "shift", "segment": "shift"}
    shared |= {"supernet201": "supernet", "nasbench201": "search", "laboratory": "rerank"}
    stacks: dict[str, list[tuple[str, str]]] = {}
    for stage, rows in columns.items():
        stacks.setdefault(shared.get(stage, stage), []).extend((stage, row) for row in rows)
    tallest = max(len(stack) for stack in stacks.values())
    width = 0.075 * max(len(row) for rows in columns.values() for row in rows) + 0.3
    pitch = width + 0.8
    figure = Figure(figsize=(pitch * len(stacks), max(2.4, 0.5 * tallest + 0.4)), layout="constrained")
    axes = figure.subplots()
    at: dict[str, tuple[float, float]] = {}
    for i, stack in enumerate(stacks.values()):
        for j, (stage, row) in enumerate(stack):
            at[f"{stage}@{row}"] = place = (i * pitch, -(j + 0.5) * tallest / len(stack))
            _box(axes, *place, width, 0.78, f"{stage}\n{row}", STAGES.get(stage, "#ffffff"), 8)
    for source, target in edges:
        (x0, y0), (x1, y1) = at[source], at[target]
        bend = np.linspace(0, 1, 40)
        x = x0 + width / 2 + (x1 - x0 - width) * bend
        axes.plot(
            x,
            y0 + (y1 - y0) * (3 * bend**2 - 2 * bend**3),
            color="#666666",
            lw=0.9,
            alpha=0.7 if x1 - x0 < 1.5 * pitch else 0.2,
            zorder=1,
        )
    axes.set_xlim(-width / 2 - 0.2, (len(stacks) - 1) * pitch + width / 2 + 0.2)
    axes.set_ylim(-tallest - 0.1, 0.1)
    axes.set_axis_off()
    save(figure, path)

"""Both cells of a genotype as circuits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import NODES, Genotype
from genas.pipeline.drawing.style import box, save

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
        box(axes, x[node], y[node], 0.66, 0.52, label, "#f1e6f5", 11)
    for node in NODES:
        incoming = [edge for edge in cell if edge.target == node]
        height = min(0.36, 0.84 / len(incoming) - 0.05)
        for i, edge in enumerate(incoming):
            # A wire that comes from further left takes the lower slot of the lane.
            slot = y[node] + (height + 0.06) * (i - (len(incoming) - 1) / 2)
            _draw_edge(axes, x[edge.source], y[edge.source], x[node], slot, y[node], height, edge.operation)
        box(axes, x[node], y[node], 0.42, 0.52, str(node - 2), "#ffffff", 11)
        axes.plot([x[node], output], [y[node], y[node]], color="#999999", lw=1.2, zorder=1)
    middle = (y[NODES[0]] + y[NODES[-1]]) / 2
    box(axes, output, middle, 0.55, y[NODES[0]] - y[NODES[-1]] + 0.6, "$c_k$", "#f1e6f5", 12)
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
    box(axes, centre, slot, width, height, operation.replace("_", " "), OPERATIONS[operation], 8.2)

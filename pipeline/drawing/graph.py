"""The graph of rows: what reads what, from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genas.pipeline.drawing.style import box, save

COLOURS = ("#e4e4e4", "#ffffff", "#f6dfa4", "#b5d5ee", "#cfe6e4", "#f0d3e3", "#e9ecc8", "#d8c9ea", "#bfe3c0", "#f3c6c0")
"""One a phase of the chain, in the order of the chain."""
HEIGHT = 0.78
"""Of a box, where rows of a full column are 1 apart."""
GAP = 0.8
"""Between columns."""

Key = tuple[str, str]
"""A stage and one of its rows."""
Place = tuple[float, float]


def draw_graph(inputs: Mapping[Key, Sequence[Key]], phases: Mapping[str, str], path: Path) -> None:
    """A box a row, a line from each row to what reads it; lines that pass a column are pale.

    Args:
        inputs: of each row, (stage, row), the rows that it reads.
        phases: the phase of each stage, in the order of the chain; stages of a phase have a colour in common.
        path: the PNG to write.
    """
    stacks = columns(inputs)
    tallest = max(len(stack) for stack in stacks)
    width = 0.075 * max(len(text) for key in inputs for text in key) + 0.3
    pitch = width + GAP
    at = {
        key: (i * pitch, -(j + 0.5) * tallest / len(stack))
        for i, stack in enumerate(stacks)
        for j, key in enumerate(stack)
    }
    figure = Figure(figsize=(pitch * len(stacks), max(2.4, 0.5 * tallest + 0.4)), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(dict.fromkeys(phases.values()), cycle(COLOURS), strict=False))
    for (stage, row), (x, y) in at.items():
        box(axes, x, y, width, HEIGHT, f"{stage}\n{row}", colours[phases[stage]], 8)
    for reader, sources in inputs.items():
        for source in sources:
            _wire(axes, at[source], at[reader], width, pitch)
    axes.set_xlim(-width / 2 - 0.2, (len(stacks) - 1) * pitch + width / 2 + 0.2)
    axes.set_ylim(-tallest - 0.1, 0.1)
    axes.set_axis_off()
    save(figure, path)


def columns(inputs: Mapping[Key, Sequence[Key]]) -> list[list[Key]]:
    """The rows by their depth, which is the length of the longest path to them; within a column each row stands about
    as high as those that it reads, so that lines cross less."""
    graph = nx.DiGraph()
    graph.add_nodes_from(inputs)
    graph.add_edges_from((source, reader) for reader, sources in inputs.items() for source in sources)
    order = {key: i for i, key in enumerate(inputs)}
    stacks: list[list[Key]] = []
    height: dict[Key, float] = {}
    for generation in nx.topological_generations(graph):
        stack = sorted(generation, key=order.__getitem__)
        if stacks:
            stack.sort(key=lambda key: float(np.mean([height[source] for source in inputs[key]])))
        height |= {key: (j + 0.5) / len(stack) for j, key in enumerate(stack)}
        stacks.append(stack)
    return stacks


def _wire(axes: Axes, source: Place, reader: Place, width: float, pitch: float) -> None:
    """A line from the right edge of one box to the left edge of another, level at both ends."""
    (x0, y0), (x1, y1) = source, reader
    bend = np.linspace(0, 1, 40)
    x, y = x0 + width / 2 + (x1 - x0 - width) * bend, y0 + (y1 - y0) * (3 * bend**2 - 2 * bend**3)
    axes.plot(x, y, color="#666666", lw=0.9, alpha=0.7 if x1 - x0 < 1.5 * pitch else 0.2, zorder=1)

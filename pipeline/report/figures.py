"""The paper's Figures 3 and 4 of this profile's rows. Both are pictures alone in the paper, whose text gives no numbers
that could stand beside ours."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from genas.pipeline.config import Params
from genas.pipeline.drawing.bars import draw_bars
from genas.pipeline.drawing.curvature import COLUMNS, draw_curvature
from genas.pipeline.report.page import emphasised, picture, table
from genas.pipeline.report.provenance import linked
from genas.pipeline.results import records
from genas.pipeline.results.board import number
from genas.pipeline.stages import Key, rows_of
from genas.pipeline.stages.graph import graph

ABOUT_3 = (
    "Loss and accuracy of trained, stand-alone networks on validation images when Gaussian noise of deviation sigma is "
    "added to all of their weights; bands are one standard deviation over draws. The lower a curve of the loss begins, "
    "the deeper the minimum; the less it rises, the flatter. The paper prints no numbers; it finds angle + flatness "
    "flatter and deeper than angle."
)
ABOUT_4 = (
    "Minutes that a search took: the training of its supernet and the search itself. A supernet is trained once for "
    "all searches on it and counts whole in each. The paper prints no numbers; it measured on one NVIDIA V100."
)


def figure_3(params: Params, root: Path, folder: Path) -> str:
    """The curves of all rows of the stage ``curvature`` in one picture, and what is seen in it."""
    heading = "### The paper's Figure 3: loss curvature of retrained networks"
    curves: dict[str, pd.DataFrame] = {}
    ends: dict[str, float] = {}
    for row in rows_of(params, "curvature"):
        found = records.table(root, ("curvature", row), "curve.csv")
        if found is not None:
            with records.sound(root, ("curvature", row)):
                curves[row] = found[list(COLUMNS)].astype(float)
                ends[row] = float(curves[row]["sigma"].iloc[-1])
    if not curves:
        return ""
    draw_curvature(curves, folder / "pictures" / "figure_3.png")
    measured = {row: records.metrics(root, ("curvature", row)) for row in curves}
    lines = []
    for row, values in measured.items():
        loss, rise, flat = (_digits(values.get(name)) for name in ("loss", "loss_rise", "flatness"))
        top1 = number(values.get("top1"), "top1")
        name = linked(root, ("curvature", row))
        lines.append([name, params.rows[row].cell, top1, loss, rise, f"{ends[row]:g}", flat])
    for place, metric, best in ((2, "top1", max), (3, "loss", min), (4, "loss_rise", min), (6, "flatness", max)):
        column = emphasised([line[place] for line in lines], [v.get(metric) for v in measured.values()], best)
        for line, cell in zip(lines, column, strict=True):
            line[place] = cell
    headings = ("row", "cell", "top-1", "loss", "rise", "to sigma", "flatness")
    shown = picture("pictures/figure_3.png", "Noise on the weights of retrained networks, the paper's Figure 3.")
    caption = "Loss without noise, its rise up to the largest sigma, and flatness by Eq. 4."
    return "\n\n".join([heading, ABOUT_3, shown, seen(measured), table(headings, lines, caption)])


def seen(measured: dict[str, dict[str, float]]) -> str:
    """Which network has the deepest minimum, the smallest rise and the largest flatness (Eq. 4), in a sentence."""
    parts = []
    for name, text, best in (
        ("loss", "deepest", min),
        ("loss_rise", "rising least", min),
        ("flatness", "flattest by Eq. 4", max),
    ):
        known = {row: values[name] for row, values in measured.items() if name in values}
        if known:
            row = best(known, key=lambda row: known[row])
            parts.append(f"{text} `{row}` ({_digits(known[row])})")
    return f"Of {len(measured)}: {', '.join(parts)}."


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def figure_4(params: Params, root: Path, folder: Path) -> str:
    """What each search cost with its supernet, as bars and as a table, with the hardware that its rows name."""
    heading = "### The paper's Figure 4: search cost"
    lines, bars = [], {name: dict[str, float]() for name in ("supernet", "search", "together")}
    nodes = graph(params)
    for row in rows_of(params, "search"):
        key: Key = ("search", row)
        took = [records.timing(root, one) for one in (*(k for k in nodes[key].inputs if k[0] == "supernet"), key)]
        if not all(took):
            continue
        minutes = [timing["seconds"] / 60 for timing in took]
        minutes.append(sum(minutes))
        for panel, value in zip(bars.values(), minutes, strict=True):
            panel[row] = value
        hardware = dict.fromkeys(timing[name] for timing in took for name in ("device", "scorer") if name in timing)
        lines.append((linked(root, key), *(f"{value:.2f}" for value in minutes), ", ".join(hardware)))
    if not lines:
        return ""
    draw_bars(bars, folder / "pictures" / "figure_4.png")
    headings = ("search", *(f"{name} (min)" for name in bars), "hardware")
    shown = picture("pictures/figure_4.png", "Minutes of a search, the paper's Figure 4.")
    return "\n\n".join([heading, ABOUT_4, shown, table(headings, lines, "Minutes of each search, and on what.")])

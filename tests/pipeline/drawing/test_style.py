"""Every picture: the same data give the same bytes, nothing global changes, nothing is blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.drawing.agreement import draw_agreement
from genas.pipeline.drawing.bars import draw_bars
from genas.pipeline.drawing.cells import draw_genotype
from genas.pipeline.drawing.curves import draw_curves
from genas.pipeline.drawing.graph import draw_graph
from genas.pipeline.drawing.laboratory import draw_alpha, draw_architectures, draw_losses, draw_measures
from genas.pipeline.drawing.scenes import draw_detections, draw_segmentations
from genas.pipeline.drawing.searches import draw_scatter, draw_search
from tests.pipeline.drawing import made

GENOTYPE = random_genotype(np.random.default_rng(3))
PICTURES = {
    "genotype": lambda _, path: draw_genotype(GENOTYPE, path, "a title"),
    "curves": lambda _, path: draw_curves(made.HISTORY, "generation", ["best", "absent", "worst"], path, "a title"),
    "search": lambda _, path: draw_search(made.HISTORY, path),
    "losses": lambda _, path: draw_search(made.HISTORY, path, "a title", made.LOSSES),
    "scatter": lambda _, path: draw_scatter(made.CANDIDATES, "flatness", "accuracy", path),
    "agreement": lambda _, path: draw_agreement(made.TAU, made.ERRORS, path, "a title"),
    "bars": lambda _, path: draw_bars({"top1": {"a": 70.0, "b": 71.0}, "AP": {"a": 30.0}}, path),
    "graph": lambda _, path: draw_graph(made.INPUTS, made.PHASES, path),
    "detections": lambda folder, path: draw_detections(made.write_detections(folder), path),
    "segmentations": lambda folder, path: draw_segmentations(made.write_segmentations(folder), path),
    "measures": lambda _, path: draw_measures(made.TABLES["measures"], path, "a title"),
    "architectures": lambda _, path: draw_architectures(made.TABLES["architectures"], path, "a title"),
    "figure 2": lambda _, path: draw_losses(made.TABLES["figure_2"], path, "a title"),
    "table 6": lambda _, path: draw_alpha(made.TABLES["table_6"], path, "a title"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_same_data_same_bytes(name: str, tmp_path: Path) -> None:
    state = dict(mpl.rcParams)
    PICTURES[name](tmp_path / "first", tmp_path / "new" / "one.png")
    PICTURES[name](tmp_path / "second", tmp_path / "two.png")
    assert (tmp_path / "new" / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert dict(mpl.rcParams) == state
    with Image.open(tmp_path / "two.png") as image:
        assert image.mode == "P", "a palette"
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255), "white stays white"
        assert set(image.info) <= {"dpi"}, "no software, no dates"
        assert len(np.unique(np.asarray(image.convert("L")))) > 10, "not blank"


SMALL = [1e-6, 5e-6, 1e-5]
"""The smallest sigmas of the paper's Table 5."""
CROWDED = {
    **PICTURES,
    "small sigmas": lambda _, path: draw_search(made.HISTORY, path, "", made.LOSSES.set_index(pd.Index(SMALL))),
    "close sigmas": lambda _, path: draw_search(
        made.HISTORY, path, "", made.LOSSES.set_index(pd.Index([1e-4, 2e-4, 2e-2]))
    ),
    "small values": lambda _, path: draw_scatter(
        made.CANDIDATES.assign(flatness=[8.5e-4, 1.05e-3, 9e-4], accuracy=[3e6, 5e6, 4e6]), "flatness", "accuracy", path
    ),
    "small bars": lambda _, path: draw_bars({name: {"a": 0.024, "b": 0.0283} for name in "abc"}, path),
    "large bars": lambda _, path: draw_bars({name: {"a": 1234567.0, "b": 3.0} for name in "abc"}, path),
    "long": lambda _, path: draw_curves(
        pd.DataFrame({"epoch": range(10000), "top1": 1.0}), "epoch", ["top1"], path, ""
    ),
    "all sigmas": lambda _, path: draw_losses(
        pd.DataFrame([{"group": "top", "sigma": sigma, "loss": 1.0} for sigma in (0, *SMALL, 5e-4, 2e-3, 2e-2)]),
        path,
        "",
    ),
}


@pytest.mark.parametrize("name", CROWDED)
def test_labels_of_ticks_stand_apart(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    savefig = Figure.savefig

    def noted(figure: Figure, *to: Any, **options: Any) -> None:
        drawn.append(figure)
        savefig(figure, *to, **options)

    monkeypatch.setattr(Figure, "savefig", noted)
    CROWDED[name](tmp_path / "read", tmp_path / "one.png")
    for axis in (axis for axes in drawn[0].axes for axis in (axes.xaxis, axes.yaxis)):
        axis.figure.canvas.draw()
        labels = [label for label in axis.get_ticklabels() if label.get_text() and label.get_rotation() % 90 == 0]
        low, high = sorted(axis.get_view_interval())
        shown = [label for label in labels if low <= label.get_position()[axis.axis_name == "y"] <= high]
        boxes = [label.get_window_extent() for label in shown]
        for i, one in enumerate(boxes):
            assert not any(one.overlaps(other) for other in boxes[:i]), f"{shown[i].get_text()} is on another label"

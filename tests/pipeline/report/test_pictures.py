"""The pictures: every cell can be drawn, the same data give the same bytes, nothing global changes."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models.spaces.base.edge import Edge
from models.spaces.darts.genotype import NODES, Genotype, random_genotype
from pipeline.drawing import pictures

HISTORY = pd.DataFrame(
    {"generation": [0, 1, 2], "best": [1.0, 2.0, 2.5], "median": [0.5, 1.0, 1.2], "worst": [0, 0.2, 0.1]}
)
CANDIDATES = pd.DataFrame(
    {"generation": [0, 0, 1], "score": [1.0, 3.0, 2.0], "flatness": [1, 2, 3], "accuracy": [0.1, 0.2, 0.3]}
)
LOSSES = pd.DataFrame({1: [1.0, 1.1, 1.4], 2: [1.2, 1.3, 1.9]}, index=[0.001, 0.003, 0.006])
TAU = pd.DataFrame([[1, -0.7], [-0.7, 1]], index=["flatness", "loss"], columns=["flatness", "loss"])
ERRORS = pd.DataFrame([[8.0, 4.0], [4.0, 2.0]], index=[128, 512], columns=[1, 2])
COLUMNS = {"data": ["d"], "supernet": ["d-0"], "search": ["d-f-0"], "zoo": ["z"], "retrain": ["r"], "detect": ["r"]}
EDGES = [
    ("data@d", "supernet@d-0"),
    ("supernet@d-0", "search@d-f-0"),
    ("data@d", "retrain@r"),
    ("retrain@r", "detect@r"),
]


def draw(name: str, path: Path) -> None:
    genotype = random_genotype(np.random.default_rng(3))
    {
        "genotype": lambda: pictures.draw_genotype(genotype, path, "a title"),
        "curves": lambda: pictures.draw_curves(HISTORY, "generation", ["best", "absent", "worst"], path, "a title"),
        "search": lambda: pictures.draw_search(HISTORY, path),
        "losses": lambda: pictures.draw_search(HISTORY, path, "a title", LOSSES),
        "agreement": lambda: pictures.draw_agreement(TAU, ERRORS, path, "a title"),
        "scatter": lambda: pictures.draw_scatter(CANDIDATES, "flatness", "accuracy", path),
        "bars": lambda: pictures.draw_bars({"top1": {"a": 70.0, "b": 71.0}, "AP": {"a": 30.0}}, path),
        "dag": lambda: pictures.draw_dag(COLUMNS, EDGES, path),
    }[name]()


@pytest.mark.parametrize("name", ["genotype", "curves", "search", "losses", "agreement", "scatter", "bars", "dag"])
def test_same_data_same_bytes(name: str, tmp_path: Path) -> None:
    state = dict(mpl.rcParams)
    draw(name, tmp_path / "new" / "one.png")
    draw(name, tmp_path / "two.png")
    assert (tmp_path / "new" / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert dict(mpl.rcParams) == state
    with Image.open(tmp_path / "two.png") as image:
        assert set(image.info) <= {"dpi"}, "no software, no dates"
        assert len(np.unique(np.asarray(image.convert("L")))) > 10, "not blank"


def test_cells_differ(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        pictures.draw_genotype(random_genotype(rng), tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_a_node_with_every_input(tmp_path: Path) -> None:
    """Published cells need not have two inputs a node; five of them still fit into a lane."""
    cell = tuple(Edge("sep_conv_3x3", source, node) for node in NODES for source in range(node))
    pictures.draw_genotype(Genotype(cell, cell[:1] + cell[2:]), tmp_path / "full.png")
    assert (tmp_path / "full.png").stat().st_size > 10_000


def test_every_operation_has_a_colour(tmp_path: Path) -> None:
    from models.spaces.darts.genotype import PRIMITIVES

    assert tuple(pictures.OPERATIONS) == PRIMITIVES[1:]
    assert len(set(pictures.OPERATIONS.values())) == len(pictures.OPERATIONS)


def test_curves_without_any_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent"):
        pictures.draw_curves(HISTORY, "generation", ["absent"], tmp_path / "none.png", "")


def test_curves_skip_what_was_not_measured(tmp_path: Path) -> None:
    frame = pd.DataFrame({"epoch": [0, 1, 2], "loss": [2.0, 1.0, 0.5], "top1": [np.nan] * 3})
    pictures.draw_curves(frame, "epoch", ["loss", "top1"], tmp_path / "both.png", "")
    pictures.draw_curves(frame, "epoch", ["loss"], tmp_path / "loss.png", "")
    assert (tmp_path / "both.png").read_bytes() == (tmp_path / "loss.png").read_bytes()


def test_finalists_are_the_best_and_never_out_of_quarantine() -> None:
    table = pd.DataFrame({"score": [1.0, np.nan, 3.0, 3.0, 2.0, 0.5, 0.6], "encoding": list("abdcefg")})
    table["loss_0"], table["loss_1"] = [0.1, 9.9, 0.3, 0.4, 0.2, 0.5, 0.6], range(7)
    losses = pictures.finalist_losses(table, [0.001, 0.003])
    assert losses is not None
    assert losses.columns.tolist() == [1, 2, 3, 4, 5]
    assert losses.loc[0.001].tolist() == [0.4, 0.3, 0.2, 0.1, 0.6], "best first, ties by encoding"
    assert losses.loc[0.003].tolist() == [3, 2, 4, 0, 6]
    assert pictures.finalist_losses(table, [0.001, 0.003, 0.006]) is None, "flatness was not measured"

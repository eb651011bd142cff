"""Every cell can be drawn, and each operation is told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import NODES, PRIMITIVES, Genotype, random_genotype
from genas.pipeline.drawing import cells


def test_cells_differ(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        cells.draw_genotype(random_genotype(rng), tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_a_node_with_every_input(tmp_path: Path) -> None:
    """Published cells need not have two inputs a node; five of them still fit into a lane."""
    cell = tuple(Edge("sep_conv_3x3", source, node) for node in NODES for source in range(node))
    cells.draw_genotype(Genotype(cell, cell[:1] + cell[2:]), tmp_path / "full.png")
    assert (tmp_path / "full.png").stat().st_size > 10_000


def test_every_operation_has_a_colour() -> None:
    assert tuple(cells.OPERATIONS) == PRIMITIVES[1:]
    assert len(set(cells.OPERATIONS.values())) == len(cells.OPERATIONS)

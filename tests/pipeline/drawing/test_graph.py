"""The graph of rows: columns by depth, colours by phase."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest

from genas.pipeline.drawing.graph import columns, draw_graph
from tests.pipeline.drawing.made import INPUTS, PHASES


def test_columns_are_the_longest_paths() -> None:
    found = columns(INPUTS)
    assert [sorted(column) for column in found] == [
        [("data", "d"), ("zoo", "z")],
        [("data", "shifted"), ("retrain", "published"), ("supernet", "d-0")],
        [("search", "d-f-0")],
        [("retrain", "found")],
        [("shift", "found")],
    ]


def test_rows_stand_beside_what_they_read() -> None:
    """Read in the opposite order, two chains do not cross."""
    inputs = {("data", "a"): [], ("data", "b"): []}
    chains = {("supernet", "of b"): [("data", "b")], ("supernet", "of a"): [("data", "a")]}
    assert columns(inputs | chains)[1] == [("supernet", "of a"), ("supernet", "of b")]


def test_a_circle_has_no_columns() -> None:
    with pytest.raises(nx.NetworkXUnfeasible):
        columns({("data", "a"): [("data", "b")], ("data", "b"): [("data", "a")]})


def test_colours_follow_the_phase(tmp_path: Path) -> None:
    """Stages of one phase have one colour, whatever the phase is called."""
    renamed = {stage: f"phase of {phase}" for stage, phase in PHASES.items()}
    for name, phases in {"all": PHASES, "renamed": renamed, "one": dict.fromkeys(PHASES, "all")}.items():
        draw_graph(INPUTS, phases, tmp_path / f"{name}.png")
    drawn = {name: (tmp_path / f"{name}.png").read_bytes() for name in ("all", "renamed", "one")}
    assert drawn["all"] == drawn["renamed"] != drawn["one"]

"""Genotypes: their encoding, what is refused, and what the random operators may and may not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genas.models.errors import GenasError
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import (
    EDGES,
    NODES,
    PRIMITIVES,
    Genotype,
    cross,
    mutate,
    random_genotype,
    sample,
)

seeds = st.integers(0, 2**32 - 1)
genotypes = seeds.map(lambda seed: random_genotype(np.random.default_rng(seed)))


@st.composite
def any_in_degree(draw: st.DrawFn) -> Genotype:
    """A genotype whose nodes have any number of inputs but none."""
    cells = []
    for _ in range(2):
        cell = []
        for node in NODES:
            sources = draw(st.sets(st.integers(0, node - 1), min_size=1))
            cell += [Edge(draw(st.sampled_from(PRIMITIVES[1:])), source, node) for source in sources]
        cells.append(tuple(draw(st.permutations(cell))))
    return Genotype(*cells)


def chain(operation: str = "skip_connect") -> list[list[Any]]:
    """A cell whose every node reads nodes 0 and 1."""
    return [[operation, source, target] for target in NODES for source in (0, 1)]


def test_the_edges_are_numbered_by_target_then_source() -> None:
    assert EDGES[:5] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert EDGES[-1] == (4, 5)
    assert len(EDGES) == 14


@given(any_in_degree())
def test_an_encoding_holds_all_of_a_genotype(genotype: Genotype) -> None:
    code = genotype.encode()
    assert len(code) == 28
    assert Genotype.decode(code) == genotype
    assert hash(Genotype.decode(code)) == hash(genotype)
    assert sum(i > 0 for i in code) == len(genotype.normal) + len(genotype.reduce)


@given(any_in_degree())
def test_a_dictionary_holds_all_of_a_genotype(genotype: Genotype) -> None:
    assert Genotype.from_dict(json.loads(json.dumps(genotype.to_dict()))) == genotype


def test_an_encoding_worked_by_hand() -> None:
    genotype = Genotype.from_dict({"normal": chain("max_pool_3x3"), "reduce": chain("dil_conv_5x5")})
    normal = (1, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0)
    assert genotype.encode() == normal + tuple(7 * i for i in normal)


@given(genotypes)
def test_a_random_genotype_lies_in_the_space(genotype: Genotype) -> None:
    assert genotype.require_two_inputs() is genotype


def test_a_larger_sample_begins_with_the_smaller() -> None:
    assert sample(9, seed=1)[:4] == sample(4, seed=1)
    assert len(set(sample(50, seed=1))) == 50
    assert sample(4, seed=1) != sample(4, seed=2)


def test_random_genotypes_use_every_operation_on_every_edge_evenly() -> None:
    rng = np.random.default_rng(0)
    codes = np.array([random_genotype(rng).encode() for _ in range(4000)]).reshape(-1, 14)
    for index, (_, target) in enumerate(EDGES):
        share = np.bincount(codes[:, index], minlength=8) / len(codes)
        present = 2 / target  # two of a node's `target` possible inputs
        assert share[0] == pytest.approx(1 - present, abs=0.03)
        assert share[1:] == pytest.approx(np.full(7, present / 7), abs=0.02)


@given(genotypes, seeds, st.floats(0, 1), st.sampled_from(["both", "normal"]))
def test_a_mutant_lies_in_the_space_and_its_parent_stays(
    parent: Genotype, seed: int, probability: float, cells: str
) -> None:
    before = parent.encode()
    child = mutate(parent, np.random.default_rng(seed), probability, cells).require_two_inputs()
    assert parent.encode() == before
    assert child == mutate(parent, np.random.default_rng(seed), probability, cells)
    if cells == "normal":
        assert child.reduce == parent.reduce
    if probability == 0:
        assert child == parent


def test_mutation_reaches_the_cells_it_is_told_to() -> None:
    rng = np.random.default_rng(0)
    parent = random_genotype(rng)
    both = [mutate(parent, rng, 0.5) for _ in range(20)]
    assert any(child.reduce != parent.reduce for child in both)
    assert any(child.normal != parent.normal for child in both)
    assert all(mutate(parent, rng, 1.0, "normal").normal != parent.normal for _ in range(20))


@given(genotypes, genotypes, seeds)
def test_a_child_of_two_lies_in_the_space_and_its_parents_stay(first: Genotype, second: Genotype, seed: int) -> None:
    before = first.encode(), second.encode()
    child = cross(first, second, np.random.default_rng(seed)).require_two_inputs()
    assert (first.encode(), second.encode()) == before
    assert child == cross(first, second, np.random.default_rng(seed))
    assert cross(first, first, np.random.default_rng(seed)) == first


def test_crossing_mixes_two_parents_with_the_same_edges_edge_by_edge() -> None:
    parents = [Genotype.from_dict({"normal": chain(o), "reduce": chain(o)}) for o in ("max_pool_3x3", "sep_conv_3x3")]
    child = cross(*parents, np.random.default_rng(0))
    used = {edge.operation for edge in child.normal + child.reduce}
    assert used == {"max_pool_3x3", "sep_conv_3x3"}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            [["sep_conv_7x7", 0, 2], *chain()[1:]],
            "normal cell: unknown operation 'sep_conv_7x7', expected one of max_p",
        ),
        ([["none", 0, 2], *chain()[1:]], "normal cell: unknown operation 'none'"),
        ([["skip_connect", 3, 2], *chain()], "normal cell: no edge leads from node 3 to node 2"),
        ([["skip_connect", "0", 2], *chain()], "normal cell: no edge leads from node '0' to node 2"),
        ([["max_pool_3x3", 0, 2], *chain()], "normal cell: edge 0->2 is given twice"),
        ([["skip_connect", True, 2], *chain()], "normal cell: no edge leads from node True to node 2"),
        ([["skip_connect", 0, 2.0], *chain()], "normal cell: no edge leads from node 0 to node 2.0"),
        ([["skip_connect", 0, None], *chain()], "normal cell: no edge leads from node 0 to node None"),
        ([["skip_connect", [0], 2], *chain()], r"normal cell: no edge leads from node \[0\] to node 2"),
        ([["skip_connect", 0, {"a": []}], *chain()], "normal cell: no edge leads from node 0 to node {'a'"),
        ([[["skip_connect"], 0, 2], *chain()], r"normal cell: unknown operation \['skip_connect'\]"),
        (chain()[:-2], "normal cell: node 5 has no input"),
        ([["skip_connect", 0], *chain()], r"normal cell: \['skip_connect', 0\] is not an edge"),
        (["skip_connect", *chain()], "normal cell: 'skip_connect' is not an edge"),
    ],
)
def test_a_wrong_cell_is_refused_in_one_line(cell: list[Any], message: str) -> None:
    with pytest.raises(GenasError, match=message) as caught:
        Genotype.from_dict({"normal": cell, "reduce": chain()})
    assert "\n" not in str(caught.value)


def test_a_third_input_is_no_error_until_the_search_space_is_asked_for() -> None:
    genotype = Genotype.from_dict({"normal": chain(), "reduce": [*chain(), ["sep_conv_3x3", 2, 4]]})
    with pytest.raises(GenasError, match="reduce cell: node 4 has 3 inputs, the search space has 2"):
        genotype.require_two_inputs()


@pytest.mark.parametrize(
    "code", [[1] * 27, [1] * 29, [8] + [1] * 27, [-1] + [1] * 27, [], [True] * 28, [1.0] * 28, ["1"] * 28]
)
def test_a_wrong_encoding_is_refused(code: list[int]) -> None:
    with pytest.raises(GenasError, match=r"an encoding is 28 integers in 0\.\.7, got \["):
        Genotype.decode(code)


def test_an_encoding_that_leaves_a_node_without_input_is_refused() -> None:
    with pytest.raises(GenasError, match="node 2 has no input"):
        Genotype.decode([0] * 28)


@given(genotypes)
def test_a_file_holds_the_cells_the_encoding_and_more(tmp_path_factory: pytest.TempPathFactory, one: Genotype) -> None:
    path = tmp_path_factory.getbasetemp() / "genotype.json"
    one.save(path, source="a paper")
    assert Genotype.load(path) == one
    content = json.loads(path.read_text())
    assert content["encoding"] == list(one.encode())
    assert content["source"] == "a paper"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such genotype file"),
        ("{", "not JSON"),
        ("[]", "a genotype has a list of edges under 'normal'"),
        ('{"normal": [], "reduce": 3}', "a genotype has a list of edges under 'reduce'"),
        ('{"normal": [["skip", 0, 2]], "reduce": []}', "unknown operation 'skip'"),
        ('{"normal": [], "reduce": [], "normal_concat": [2, 3]}', r"normal_concat is \[2, 3\]"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "genotype.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(GenasError, match=message) as caught:
        Genotype.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_named_too(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GenasError, match="not JSON") as caught:
        Genotype.load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "9" * 5000, '{"normal": [], "reduce": [], "normal_concat": 5}', "null"]
)
def test_odd_json_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(text)
    with pytest.raises(GenasError) as caught:
        Genotype.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)

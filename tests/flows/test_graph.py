"""The graph that the flows walk is DVC's own."""

from __future__ import annotations

import json
import re

import networkx as nx
import pytest

from genas.flows.graph import resolve, stage_graph
from genas.flows.plan import changed, plan
from genas.flows.processes.children import Children
from genas.models.errors import GenasError
from tests.flows.conftest import Toy

# DVC 3.67 reads a property that pygtrie is going to remove.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def mermaid(text: str) -> set[tuple[str, str]]:
    """The edges of ``dvc dag --mermaid``."""
    names = dict(re.findall(r'(node\d+)\["(.+?)"\]', text))
    return {(names[a], names[b]) for a, b in re.findall(r"(node\d+)-->(node\d+)", text)}


def test_it_is_the_graph_that_dvc_draws(toy: Toy) -> None:
    graph = stage_graph(toy.folder)
    assert set(graph) == set(toy.dvc("stage", "list", "--name-only").split())
    drawn = mermaid(toy.dvc("dag", "--mermaid"))
    assert set(graph.edges) == drawn
    assert {name for name in graph if graph.nodes[name]["scan"]} == {"data@a", "data@b"}


def test_the_root_profile_does_not_see_those_below_it(toy: Toy) -> None:
    root = toy.folder.parent.parent
    assert set(stage_graph(root)) == set(stage_graph(toy.folder))
    assert "toy" not in Toy(root).dvc("dag", "--mermaid")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("supernet@a-0", {"data@a", "supernet@a-0"}),
        ("supernet", {"data@a", "data@b", "supernet@a-0", "supernet@b-0"}),
        ("search@b-angle-0", {"data@b", "supernet@b-0", "search@b-angle-0"}),
    ],
)
def test_targets_come_with_what_they_depend_on(toy: Toy, target: str, expected: set[str]) -> None:
    assert set(stage_graph(toy.folder, [target])) == expected


def test_everything_is_what_the_report_depends_on(toy: Toy) -> None:
    assert nx.utils.graphs_equal(stage_graph(toy.folder, ["report"]), stage_graph(toy.folder))


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("serch", "did you mean search"),
        ("search@a-flatnes-0", "search@a-flatness-0"),
        ("zzz", "expected a row or one of search, report"),
    ],
)
def test_unknown_targets_are_told_what_there_is(target: str, hint: str) -> None:
    with pytest.raises(GenasError, match=re.escape(hint)):
        resolve([target], ["search@a-flatness-0", "report"])


def test_a_broken_dvc_yaml_is_one_line(toy: Toy) -> None:
    (toy.folder / "dvc.yaml").write_text("stages: [")
    with pytest.raises(GenasError, match=r"dvc\.yaml: .*") as caught:
        stage_graph(toy.folder)
    assert "\n" not in str(caught.value)


def test_at_first_everything_but_the_scans_is_planned(toy: Toy) -> None:
    scans = {"data@a", "data@b"}
    assert set(plan(toy.folder, (), Children())) == set(stage_graph(toy.folder)) - scans
    assert set(toy.runs()) == scans


def test_the_plan_holds_what_is_stale_and_what_hangs_below(done: Toy) -> None:
    assert not plan(done.folder, (), Children())
    (done.folder / "raw" / "a.txt").write_text("more")
    below = {"supernet@a-0", "search@a-flatness-0", "search@a-angle-0"}
    assert set(plan(done.folder, ("search",), Children())) == below
    assert not plan(done.folder, ("supernet@b-0",), Children())
    (done.folder / "out" / "search" / "b-angle-0" / "metrics.json").unlink()
    assert set(plan(done.folder, (), Children())) == below | {"report", "search@b-angle-0"}


def test_scans_that_fail_are_left_to_the_walk(done: Toy) -> None:
    done.fault("data@b", "crash once")
    assert {"data@a", "data@b"} <= set(plan(done.folder, (), Children()))


def test_changes_are_those_of_dvc_status(toy: Toy) -> None:
    toy.dvc("repro", "--quiet", "supernet@a-0")
    said = json.loads(toy.dvc("status", "--json", "dvc.yaml"))
    assert said["data@a"] == ["always changed"]
    assert changed(toy.folder, stage_graph(toy.folder)) == set(said) - {"data@a"}
    assert changed(toy.folder, ["supernet@a-0"]) == set()
    assert "supernet@a-0" not in said
    assert "supernet@b-0" in said

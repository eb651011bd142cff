"""The graph of one profile's stages, read from DVC: it stands in ``dvc.yaml`` and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx

from genas.models.errors import GenasError

if TYPE_CHECKING:
    from dvc.stage import PipelineStage as Stage


@contextmanager
def stages_of(folder: Path) -> Iterator[list[Stage]]:
    """DVC's stages of the profile in ``folder``, while its lock is held, which is waited for.

    Raises:
        GenasError: a ``dvc.yaml`` that DVC does not accept, or DVC could not tell what is asked of the stages.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # no progress bars of its own
    folder = folder.resolve()
    try:
        with Repo(str(folder), _wait_for_lock=True) as repo, lock_repo(repo):
            yield list(repo.stage.load_all(str(folder / "dvc.yaml")))
    except DvcException as error:
        raise GenasError(f"{folder / 'dvc.yaml'}: {' '.join(str(error).split())}") from None


def stage_graph(folder: Path, targets: Sequence[str] = ()) -> nx.DiGraph[str]:
    """The stages of ``folder``'s ``dvc.yaml`` as DVC names them, with edges from dependency to dependant.

    Args:
        folder: a profile's folder; other profiles are not looked at.
        targets: stages (``search``) or rows (``search@digits-flatness-0``), taken with all that they depend on;
            none means everything.

    Returns:
        Every node has the attribute ``scan``: the stage is to be run every time, whatever DVC knows of it.

    Raises:
        GenasError: an unknown target, or a ``dvc.yaml`` that DVC does not accept.
    """
    with stages_of(folder) as found:
        return graph_of(found, targets)


def graph_of(found: Sequence[Stage], targets: Sequence[str]) -> nx.DiGraph[str]:
    """:func:`stage_graph` of stages that are read already."""
    from dvc.repo.graph import build_graph

    # Semi-public; tests/flows/test_graph.py compares it with `dvc dag`.
    graph = build_graph(found)
    stages = chained(nx.relabel_nodes(graph.reverse(), {stage: stage.name for stage in graph}))
    nx.set_node_attributes(stages, {stage.name: bool(stage.always_changed) for stage in found}, "scan")
    wanted = resolve(targets, list(stages)) if targets else set(stages)
    return stages.subgraph(wanted.union(*(nx.ancestors(stages, name) for name in wanted))).copy()


def chained(stages: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """The same graph with its nodes in the order of the chain, by name where that leaves a choice."""
    ordered: nx.DiGraph[str] = nx.DiGraph()
    for generation in nx.topological_generations(stages):
        ordered.add_nodes_from(sorted(generation))
    ordered.add_edges_from(stages.edges)
    return ordered


def resolve(targets: Sequence[str], stages: Sequence[str]) -> set[str]:
    """The rows that ``targets`` name.

    Raises:
        GenasError: an unknown target, with those it resembles.
    """
    found: set[str] = set()
    groups = list(dict.fromkeys(kind(name) for name in stages))
    for target in targets:
        rows = [name for name in stages if target in (name, kind(name))]
        if not rows:
            close = get_close_matches(target, [*groups, *stages], n=3)
            hint = f"did you mean {' or '.join(close)}" if close else f"expected a row or one of {', '.join(groups)}"
            raise GenasError(f"unknown target {target!r}, {hint}")
        found.update(rows)
    return found


def kind(stage: str) -> str:
    """The stage that a row belongs to: ``search`` of ``search@digits-flatness-0``."""
    return stage.partition("@")[0]

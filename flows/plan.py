"""What is to be done: run the scans, ask DVC what is stale, take what hangs below. Prefect is not needed to know."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import networkx as nx

from flows import environment
from flows.graph import stage_graph
from flows.processes.children import Children
from flows.progress import report
from models.errors import GenasError

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")


def plan(folder: Path, targets: Sequence[str], children: Children) -> nx.DiGraph[str]:
    """The part of the graph that is to be walked; empty when everything is up to date.

    Stages that DVC runs every time (the scans of the data) are run here, because what they find decides about the
    rest. A stale stage brings its dependants: whether its new output changes them is known only when it has run, and
    DVC then skips those that it does not change.

    Raises:
        GenasError: an unknown target, or a ``dvc.yaml`` that DVC does not accept.
    """
    graph = stage_graph(folder, targets)
    scans = [name for name in graph if graph.nodes[name]["scan"]]
    stale: set[str] = set()
    if scans and not scanned(folder, scans, children):
        stale.update(scans)  # one of them failed: the walk runs them again, retries, and says which
    stale |= changed(folder, children) & set(graph) - set(scans)
    return graph.subgraph(stale.union(*(nx.descendants(graph, name) for name in stale))).copy()


def scanned(folder: Path, scans: Sequence[str], children: Children) -> bool:
    """Run the scans one after another in a single DVC process; False if one failed."""
    report("data", "scanning", detail=f"{len(scans)} sets")
    with log_file(folder, "scan").open("w") as log:
        command = [*DVC, "repro", "--keep-going", "--single-item", *scans]  # none depends on a stage
        # Looking at what has not changed is no news for the tracking database.
        surroundings = environment.of_children(GENAS_MLFLOW="off")
        return children.run(command, folder, surroundings, lambda line: print(line, file=log)) == 0


def changed(folder: Path, children: Children, target: str = "dvc.yaml") -> set[str]:
    """The stages whose command, parameters, dependencies or outputs are not those of ``dvc.lock``.

    Args:
        folder: the profile's folder.
        children: the processes of this run.
        target: a stage; all of them where none is given.

    Raises:
        GenasError: DVC could not tell.
    """
    lines: list[str] = []
    if children.run([*DVC, "status", "--json", target], folder, environment.of_children(), lines.append):
        raise GenasError(f"{folder / 'dvc.yaml'}: {lines[-1] if lines else 'dvc status failed'}")
    # Warnings may come before it; the answer itself is one line.
    answer = next((line for line in reversed(lines) if line.startswith("{")), "{}")
    return set(json.loads(answer))


def log_file(folder: Path, name: str) -> Path:
    """Where the output of a stage goes, besides Prefect's own log."""
    path = folder / ".scratch" / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

"""What is to be done: look at the data, ask DVC what is stale, take what hangs below. Prefect is not needed to know."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx

from genas.flows import environment
from genas.flows.graph import graph_of, stages_of
from genas.flows.looking import settled
from genas.flows.processes.children import Children
from genas.flows.progress import report

if TYPE_CHECKING:
    from dvc.stage import PipelineStage as Stage

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")


def plan(folder: Path, targets: Sequence[str], children: Children) -> nx.DiGraph[str]:
    """The part of the graph that is to be walked; empty when everything is up to date.

    Stages that DVC runs every time (the scans of the data) are run here where a look tells that they would leave
    something else, because what they find decides about the rest. A stale stage brings its dependants: whether its new
    output changes them is known only when it has run, and DVC then skips those that it does not change.

    Raises:
        GenasError: an unknown target, or a ``dvc.yaml`` that DVC does not accept.
    """
    with stages_of(folder) as found:
        graph = graph_of(found, targets)
        wanted = [stage for stage in found if stage.name in graph]
        stale = stale_among(wanted)
        scans = {stage.name: stage.cmd for stage in wanted if stage.always_changed}
    if scans:
        report("data", "scanning", detail=f"{len(scans)} sets")
    due = [name for name in graph if name in scans and (name in stale or not settled(folder, str(scans[name])))]
    if due:
        failed = not scanned(folder, due, children)
        stale = changed(folder, set(graph) - set(scans))
        stale |= set(due) if failed else set()  # the walk runs them again, retries, and says which
    return graph.subgraph(stale.union(*(nx.descendants(graph, name) for name in stale))).copy()


def scanned(folder: Path, scans: Sequence[str], children: Children) -> bool:
    """Run the scans one after another in a single DVC process; False if one failed."""
    with log_file(folder, "scan").open("w") as log:
        command = [*DVC, "repro", "--keep-going", "--single-item", *scans]  # none depends on a stage
        # Looking at what has not changed is no news for the tracking database.
        surroundings = environment.of_children(GENAS_MLFLOW="off")
        return children.run(command, folder, surroundings, lambda line: print(line, file=log)) == 0


def changed(folder: Path, names: Collection[str]) -> set[str]:
    """Of the stages with these names, those whose command, parameters, dependencies or outputs are not those of
    ``dvc.lock``.

    Raises:
        GenasError: DVC could not tell.
    """
    with stages_of(folder) as found:
        return stale_among(stage for stage in found if stage.name in names)


def stale_among(stages: Iterable[Stage]) -> set[str]:
    """The names of those of which ``dvc status`` tells more than that they are to be run every time."""
    told = {stage.name: [why for reasons in stage.status(check_updates=True).values() for why in reasons]
            for stage in stages}  # fmt: skip
    return {name for name, reasons in told.items() if any(why != "always changed" for why in reasons)}


def log_file(folder: Path, name: str) -> Path:
    """Where the output of a stage goes, besides Prefect's own log."""
    path = folder / ".scratch" / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

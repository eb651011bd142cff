"""The coordinator's side of a work pool: stages run on other machines, their results come back through DVC's remote.

``GENAS_POOL`` names the pool. The graph is walked here and the lock of this clone is the one that counts; a stage that
was sent away is never run here, only pulled.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

import networkx as nx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State, WorkerStatus
from prefect.client.schemas.sorting import LogSort
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling
from prefect.types.entrypoint import EntrypointType

from genas.flows import environment
from genas.flows.graph import stage_graph
from genas.flows.machines import lockfile
from genas.flows.machines.lockfile import Entries
from genas.flows.machines.source import portable, source
from genas.flows.machines.worker import MISTAKE, dvc, require_remote, stage_here
from genas.flows.plan import changed, log_file
from genas.flows.processes.children import Children, StageError
from genas.models.errors import GenasError

POLL = 2.0
"""Seconds between two looks at a run."""

PAGE = 200
"""Log lines that the server gives at once."""


@dataclass(frozen=True)
class Pool:
    """A Prefect work pool whose workers have clones of their own.

    Attributes:
        name: of the pool, and of the deployment that its workers serve.
        graph: every stage of the profile.
    """

    name: str
    graph: nx.DiGraph[str]

    @classmethod
    def chosen(cls, stale: nx.DiGraph[str], folder: Path, children: Children) -> Pool | None:
        """The pool that ``GENAS_POOL`` names, ready to run ``stale`` stages of ``folder``; None without one.

        What those stages read and is up to date here goes to DVC's remote.

        Raises:
            GenasError: no such pool, no worker in it, no DVC remote, or a profile outside the repository.
        """
        name = environment.pool()
        if name is None or not stale:
            return None
        portable(folder)
        require_remote(folder)
        with get_client(sync_client=True) as client:
            try:
                client.read_work_pool(name)
            except ObjectNotFound:
                raise GenasError(
                    f"GENAS_POOL: no work pool {name!r}, start a worker with genas worker {name}"
                ) from None
            if not online(client, name):
                raise GenasError(f"GENAS_POOL: no worker of {name!r} is online, start one with genas worker {name}")
        # The workers import the flow from their own clones.
        RunnerDeployment.from_flow(
            stage_here, name, work_pool_name=name, entrypoint_type=EntrypointType.MODULE_PATH
        ).apply()
        graph = stage_graph(folder)
        read = {one for stage in stale for one in graph.predecessors(stage)} - set(stale)
        if made := sorted(one for one in read if not graph.nodes[one]["scan"]):
            dvc(["push", *made], folder, children)
        return cls(name, graph)

    def run_stage(self, stage: str, folder: Path, children: Children, tell: Callable[[str], object]) -> str:
        """Have one row brought up to date by a worker, then pull what it made; its output goes to ``tell`` and a file.

        Returns:
            ``done``, ``restored`` or ``unchanged``.

        Raises:
            GenasError: a user's mistake, on either side.
            StageError: the stage or its worker failed, or its outputs are not in DVC's remote.
        """
        if not changed(folder, [stage]):
            return "unchanged"
        upstream = lockfile.entries(folder, self.graph.predecessors(stage))
        parameters = {
            "profile": portable(folder),
            "stage": stage,
            "source": source(folder),
            "upstream": upstream,
            "scans": [name for name in upstream if self.graph.nodes[name]["scan"]],
        }
        deployment = f"{stage_here.name}/{self.name}"
        run = cast(FlowRun, run_deployment(deployment, parameters=parameters, timeout=0, flow_run_name=stage))
        with log_file(folder, stage).open("a", buffering=1) as log:

            def both(line: str) -> None:
                tell(line)
                log.write(line + "\n")

            state = self.follow(run.id, children, both)
        if not state.is_completed():
            said = f"{stage}: {state.message or state.name}"
            raise GenasError(said) if state.name == MISTAKE else StageError(said)
        lockfile.merge(folder, left_by(run.id))
        dvc(["pull", "--force", stage], folder, children)
        return state.message or "done"

    def follow(self, run: UUID, children: Children, tell: Callable[[str], None]) -> State:
        """The final state of a flow run, whose log is handed on as it grows; the run is cancelled if this one stops.

        Raises:
            StageError: its worker is gone.
            StoppedError: this run is being stopped.
        """
        seen = 0
        only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
        with get_client(sync_client=True) as client:
            try:
                while True:
                    now = client.read_flow_run(run)
                    ended = now.state is not None and now.state.is_final()
                    while lines := client.read_logs(only, limit=PAGE, offset=seen, sort=LogSort.TIMESTAMP_ASC):
                        seen += len(lines)
                        for line in lines:
                            tell(line.message)
                    if ended:
                        assert now.state is not None
                        return now.state
                    self.require_worker(client, now)
                    children.pause(POLL)
            except BaseException:
                client.set_flow_run_state(run, Cancelling())
                raise

    def require_worker(self, client: SyncPrefectClient, run: FlowRun) -> None:
        """Return if the worker that has ``run``, or any while none has it, still answers.

        Raises:
            StageError: it does not.
        """
        name = run.labels.get("prefect.worker.name")
        workers = online(client, self.name)
        if not workers or (name is not None and name not in workers):
            raise StageError(f"{run.name}: {name or 'every worker'} of pool {self.name} is gone")


def left_by(run: UUID) -> Entries:
    """What the worker's lock says of the stage that the flow run has brought up to date."""
    with get_client(sync_client=True) as client:
        only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        (artifact,) = client.read_artifacts(artifact_filter=only)
    found: Entries = json.loads(str(artifact.data))
    return found


def online(client: SyncPrefectClient, pool: str) -> list[str]:
    """The names of the workers of ``pool`` that answer."""
    return [one.name for one in client.read_workers_for_work_pool(pool) if one.status == WorkerStatus.ONLINE]

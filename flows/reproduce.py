"""Prefect drives DVC: one task per stage row, each ``dvc repro --single-item`` in a process of its own.

DVC alone knows what is stale and keeps what was made. Prefect decides when and how many at once, retries, limits the
time, and keeps the logs; its own caching is off, for it knows nothing of files.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from graphlib import TopologicalSorter
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import networkx as nx
from prefect import Task, flow, runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from genas.flows.graph import kind, stage_graph
from genas.flows.machines.coordinator import Pool
from genas.flows.plan import plan
from genas.flows.processes.beside import preloaded, tracking
from genas.flows.processes.children import Children, StageError, StoppedError
from genas.flows.progress import report
from genas.flows.service.gpus import make_limit, slot
from genas.flows.service.pages import Progress, show_results, show_row
from genas.flows.stage import Policy, policy_of, reproduce_stage
from genas.flows.version import VERSION
from genas.models.errors import GenasError
from genas.pipeline.config import profile_folder

JOBS = 2
"""Stages at once, unless said otherwise."""


def run_stage(stage: str, folder: Path, children: Children, pool: Pool | None, gpus: str | None = None) -> str:
    """Bring one row up to date, here or in a work pool; its output goes to Prefect's log and to a file.

    Args:
        stage: the row, as DVC names it.
        folder: the profile's folder.
        children: the processes of this run.
        pool: where it is sent, if it is.
        gpus: the limit of this machine's GPUs, if it has some (:mod:`genas.flows.service.gpus`).

    Returns:
        ``done``, ``restored`` (from DVC's cache of runs) or ``unchanged``.

    Raises:
        GenasError: a user's mistake, which trying again does not mend.
        StageError: it crashed, or ran out of time.
    """
    attempt = f"attempt {runtime.task_run.run_count}" if runtime.task_run.run_count > 1 else ""
    report(stage, "running", " ".join(word for word in (attempt, f"in pool {pool.name}" if pool else "") if word))
    tell = get_run_logger().info
    if pool is not None:
        word = pool.run_stage(stage, folder, children, tell)
    else:
        with slot(stage, gpus, children.pause):
            word = reproduce_stage(stage, folder, children, tell, GENAS_PREFECT_RUN=str(runtime.flow_run.id))
    show_row(folder, stage)
    return word


def can_be_retried(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failure may be gone next time: not the user's mistakes, and not while the run is being stopped."""
    return not isinstance(state.data, GenasError | StoppedError)


def task_of(stage: str, policy: Policy) -> Task[..., str]:
    """The Prefect task that runs ``stage``."""
    return Task(
        run_stage,
        name=kind(stage),
        task_run_name=stage,
        version=VERSION,
        cache_policy=NO_CACHE,
        retries=policy.retries,
        retry_delay_seconds=policy.delay_seconds,
        retry_condition_fn=can_be_retried,
    )


def urgency(graph: nx.DiGraph[str]) -> dict[str, float]:
    """For each stage, the hours that the longest chain that begins with it may take: so detectors go before tables."""
    chain: dict[str, float] = {}
    for stage in reversed(list(nx.topological_sort(graph))):
        chain[stage] = policy_of(stage).hours + max((chain[below] for below in graph.successors(stage)), default=0)
    return chain


def walk(graph: nx.DiGraph[str], folder: Path, jobs: int, children: Children) -> dict[str, str]:
    """Run every stage of ``graph`` as soon as those before it are done, ``jobs`` at once, longest chains first.

    A stage that fails keeps only its dependants from running. Called inside a flow. With ``GENAS_POOL`` the stages run
    in that work pool.

    Returns:
        How each stage ended (see :func:`run_stage`).

    Raises:
        GenasError: stages failed, by the user's mistake alone; or the work pool cannot be used.
        StageError: stages failed.
    """
    pool = Pool.chosen(graph, folder, children)
    gpus, progress = make_limit(), Progress(folder, len(graph))
    order = TopologicalSorter({stage: set(graph.predecessors(stage)) for stage in graph})
    order.prepare()
    chain = urgency(graph)
    finished: SimpleQueue[PrefectFuture[str]] = SimpleQueue()
    running: dict[Any, tuple[str, float]] = {}
    futures: dict[str, PrefectFuture[str]] = {}
    ended: dict[str, str] = {}
    failed: dict[str, BaseException] = {}
    ready: list[str] = []
    while True:
        ready = sorted([*ready, *order.get_ready()], key=lambda stage: (-chain[stage], stage))
        while ready and len(running) < jobs:
            stage = ready.pop(0)
            above = [futures[name] for name in graph.predecessors(stage)]
            where = None if graph.nodes[stage]["scan"] else pool  # the data of this machine are looked at here
            future = task_of(stage, policy_of(stage)).submit(stage, folder, children, where, gpus, wait_for=above)
            futures[stage] = future
            running[future.task_run_id] = stage, time.monotonic()
            future.add_done_callback(finished.put)
        if not running:
            break
        future = finished.get()
        stage, started = running.pop(future.task_run_id)
        result = future.result(raise_on_failure=False)
        if isinstance(result, BaseException):
            failed[stage] = result
            report(stage, "failed", str(result).removeprefix(f"{stage}: "))
            progress.step(stage, "failed")
        else:
            ended[stage] = result
            order.done(stage)
            report(stage, result, f"{time.monotonic() - started:.0f} s")
            progress.step(stage, result)
    if failed:
        raise failure(failed, sorted(set(graph) - set(ended) - set(failed)))
    return ended


def failure(failed: dict[str, BaseException], left: Sequence[str]) -> Exception:
    """One line for everything that went wrong; a user's error only if every failure is one."""
    for stage in left:
        report(stage, "not run")
    rest = f"; not run because of it: {', '.join(left)}" if left else ""
    mistake = all(isinstance(error, GenasError) for error in failed.values())
    return (GenasError if mistake else StageError)("; ".join(map(str, failed.values())) + rest)


def bring_up_to_date(folder: Path, targets: Sequence[str], jobs: int, stages: Sequence[str] | None) -> dict[str, str]:
    """Plan and walk, inside a flow; whatever ends it, no child process is left.

    Args:
        folder: the profile's folder.
        targets: see :func:`genas.flows.graph.stage_graph`.
        jobs: how many stages run at once.
        stages: the stale stages, if :func:`genas.flows.plan.plan` has found them already.

    Raises:
        GenasError, StageError: see :func:`walk`.
    """
    if jobs < 1:
        raise GenasError(f"jobs must be at least 1, got {jobs}")
    children = Children()
    try:
        graph = plan(folder, targets, children) if stages is None else stage_graph(folder, targets).subgraph(stages)
        if not graph:
            get_run_logger().info("everything is up to date")
        with tracking(folder) if graph else nullcontext(), preloaded(folder, len(graph)):
            try:
                ended = walk(graph, folder, jobs, children)
            finally:
                children.stop()  # before the tracker, which is told how they ended
        show_results(folder)
        return ended
    finally:
        children.stop()


@flow(name="reproduce", version=VERSION, flow_run_name="reproduce-{profile}")
def reproduce(
    profile: str = "demo", targets: tuple[str, ...] = (), jobs: int = JOBS, stages: tuple[str, ...] | None = None
) -> dict[str, str]:
    """Bring a profile, or the part of its graph that ``targets`` name, up to date.

    Args:
        profile: a profile's name or folder.
        targets: stages or rows, taken with all that they depend on; none means everything.
        jobs: how many stages run at once.
        stages: the stale stages, where they are known already.
    """
    return bring_up_to_date(profile_folder(profile), targets, jobs, stages)

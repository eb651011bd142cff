"""Prefect's history stays true: runs whose process was killed are not shown as running for ever."""

from __future__ import annotations

import socket
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed


def tag_of(folder: Path) -> str:
    """The tag of runs that hold a profile's lock (:mod:`genas.flows.processes.lock`), on this machine."""
    return f"{socket.gethostname()}:{folder}"


def mark_crashed(tag: str) -> None:
    """Mark the runs that have ``tag`` and did not end as crashed, with their tasks.

    Called by who holds the profile's lock, so none of them is alive.
    """
    unended = [StateType.RUNNING, StateType.PENDING]
    crashed: State[None] = Crashed(message="the process of this run was killed")
    tasks = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=unended)))
    runs = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unended))
    )
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=runs):
            of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            for task in client.read_task_runs(flow_run_filter=of_run, task_run_filter=tasks):
                client.set_task_run_state(task.id, crashed, force=True)
            client.set_flow_run_state(run.id, crashed, force=True)

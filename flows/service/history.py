"""Prefect's history stays true: runs whose process was killed are not shown as running for ever."""

from __future__ import annotations

import socket
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed


def tag_of(folder: Path) -> str:
    """The tag of runs that hold a profile's lock (:mod:`flows.processes.lock`), on this machine."""
    return f"{socket.gethostname()}:{folder}"


def mark_crashed(tag: str) -> None:
    """Mark the runs that have ``tag`` and did not end as crashed; called by who holds the lock, so none is alive."""
    unended = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING]))
    only = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]), state=unended)
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=only):
            client.set_flow_run_state(run.id, Crashed(message="the process of this run was killed"), force=True)

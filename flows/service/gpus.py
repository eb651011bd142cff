"""The GPUs of this machine as a limit of Prefect: no more stages compute at once than there are of them.

The limit is a global one, shown by Prefect's page "Concurrency"; it is made where it is missing and otherwise left as
the user has set it. Without a GPU there is none, and nobody waits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from genas.flows.graph import kind
from genas.pipeline.stages import STAGES

DRIVER = Path("/proc/driver/nvidia/gpus")
"""Where the driver has a folder for each GPU: looking there takes no import of torch."""

LEASE = 60.0
"""Seconds after which the slots of a run that was killed are free again."""

POLL = 1.0
"""Seconds between two looks whether one is free, and whether the run is being stopped."""

PATIENCE = 5.0
"""Seconds that it may take to get one that is free."""


def count() -> int:
    """GPUs that stages may use here: those of ``CUDA_VISIBLE_DEVICES`` if set, else all; none with
    ``GENAS_DEVICE=cpu``."""
    if os.environ.get("GENAS_DEVICE") == "cpu" or not DRIVER.is_dir():
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() not in ("", "-1")])
    return len(list(DRIVER.iterdir()))


def computes(stage: str) -> bool:
    """Whether a row (as DVC names it) uses a GPU: every stage whose forecast is not a light one."""
    known = STAGES.get(kind(stage))
    return known is not None and not known.forecast.startswith("genas.pipeline.forecast.light:")


def limit_name() -> str:
    """The limit of this machine; a server may know several."""
    return f"genas-gpu-{socket.gethostname()}"


def make_limit() -> str | None:
    """Make the limit where it does not exist, a slot a GPU; returns its name, or None where there is no GPU."""
    gpus, name = count(), limit_name()
    if not gpus:
        return None
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # another run was quicker
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=gpus))
    return name


@contextmanager
def slot(stage: str, limit: str | None, pause: Callable[[float], None]) -> Iterator[None]:
    """Hold a GPU while the block runs, if ``stage`` computes and there is a limit.

    Args:
        stage: the row, as DVC names it.
        limit: its name, or None.
        pause: raises when the run is being stopped (:meth:`genas.flows.processes.children.Children.pause`).
    """
    with ExitStack() as held:
        while limit is not None and computes(stage):
            if taken(limit):  # Prefect calls each vain attempt a failure in its log, so there are few
                pause(POLL)
                continue
            try:
                lease = concurrency(
                    limit,
                    timeout_seconds=PATIENCE,
                    strict=True,
                    lease_duration=LEASE,
                    raise_on_lease_renewal_failure=False,  # a server that is away for a moment ends no stage
                )
                held.enter_context(lease)
                break
            except TimeoutError:  # another was quicker
                pause(POLL)
        yield


def taken(limit: str) -> bool:
    """Whether every slot of a limit is held."""
    with get_client(sync_client=True) as client:
        found = client.read_global_concurrency_limit_by_name(limit)
    return bool(found.active) and found.active_slots >= found.limit

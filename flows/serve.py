"""A standing service: every named flow ready to run, the refresh on a schedule and on news of the data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect import serve as serve_deployments
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger, emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from pydantic import ValidationError

from flows import environment
from flows.phases import PHASES
from flows.ports import HOST, require_free
from flows.refresh import refresh
from models.errors import GenasError
from pipeline.config import load_params, profile_folder

EVENT = "genas.data.changed"
PORT = 4200
STARTUP = 180.0
"""Seconds that a server may take to answer; its first start migrates its database."""


def resource(profile: str) -> str:
    """What the event is about, in Prefect's terms."""
    return f"genas.profile.{load_params(profile_folder(profile)).profile}"


def deployments(profile: str, jobs: int, cron: str | None) -> list[RunnerDeployment]:
    """A deployment of each named flow for ``profile``, and of the refresh with its schedule and its trigger."""
    parameters = {"profile": profile, "jobs": jobs}
    name = load_params(profile_folder(profile)).profile
    trigger = DeploymentEventTrigger(
        name=f"{EVENT} {name}", expect={EVENT}, match={"prefect.resource.id": resource(profile)}
    )
    ready = [RunnerDeployment.from_flow(phase, name, parameters=parameters) for phase in PHASES]
    return [*ready, RunnerDeployment.from_flow(refresh, name, parameters=parameters, cron=cron, triggers=[trigger])]


def serve(profile: str, jobs: int, cron: str | None, port: int) -> None:
    """Serve until interrupted, one run at a time, with a server of our own unless one is configured.

    Raises:
        GenasError: unknown profile, wrong parameters or cron string, or the port is taken.
    """
    load_params(profile_folder(profile))
    require_cron(cron)
    with server(port):
        # pause_on_shutdown would leave the schedule paused for the next start.
        serve_deployments(*deployments(profile, jobs, cron), limit=1, pause_on_shutdown=False)


def require_cron(cron: str | None) -> None:
    """Return if ``cron`` is a schedule that Prefect takes.

    Raises:
        GenasError: it is not.
    """
    try:
        if cron is not None:
            CronSchedule(cron=cron)
    except ValidationError:
        raise GenasError(f'--cron {cron!r} is not a cron string, expected something like "0 3 * * *"') from None


@contextmanager
def server(port: int) -> Iterator[None]:
    """The configured Prefect server; where none is, one on ``port`` for as long as the block runs.

    Raises:
        GenasError: the port is taken, or the server does not come up.
    """
    if get_current_settings().api.url:
        yield
        return
    require_free(port)
    url = f"http://{HOST}:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    surroundings = environment.of_children(PREFECT_API_URL=url)
    process = subprocess.Popen(command, env=surroundings, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(url, process)
        os.environ["PREFECT_API_URL"] = url  # for the processes in which the runs take place
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        stop(process)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server at ``url`` answers.

    Raises:
        GenasError: it ended, or took longer than :data:`STARTUP`.
    """
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise GenasError(f"Prefect's server ended with status {process.returncode} before it answered at {url}")
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise GenasError(f"Prefect's server did not answer at {url} within {STARTUP:.0f} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=15)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def announce(profile: str, names: list[str], port: int) -> None:
    """Tell the server that data sets of ``profile`` changed; a served refresh then starts.

    Raises:
        GenasError: an unknown data set, or no server answers.
    """
    known = load_params(profile_folder(profile)).data
    for name in names:
        if name not in known:
            raise GenasError(f"unknown data set {name!r}, {profile} has {', '.join(known)}")
    url = get_current_settings().api.url or f"http://{HOST}:{port}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        with get_client(sync_client=True) as client:
            if client.api_healthcheck() is not None:
                raise GenasError(f"no Prefect server answers at {url}, start one with genas serve")
        emit_event(EVENT, resource={"prefect.resource.id": resource(profile)}, payload={"data": names})
        EventsWorker.instance().drain()  # events leave in the background

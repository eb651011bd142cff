"""A Prefect server for as long as it is needed, where none is configured.

Prefect's own ephemeral server shares the terminal's process group: Ctrl-C ends it before the flow that is being
stopped has told it so, and the flow then waits for it in vain. This one is in a group of its own and ends last, by its
guard (:mod:`genas.flows.processes.guard`) where this process is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from genas.flows import environment
from genas.flows.processes.guard import guarded
from genas.flows.service.ports import HOST, require_free
from genas.models.errors import GenasError
from genas.pipeline.machine.addresses import masked

STARTUP = 180.0
"""Seconds that a server may take to answer; its first start migrates its database."""


@contextmanager
def server(port: int | None = None) -> Iterator[None]:
    """The configured Prefect server; where none is, one of our own while the block runs.

    Args:
        port: where it listens, with a page for the browser; None for any free port and no page.

    Raises:
        GenasError: the port is taken, the server does not come up or does not answer, or it would be one that no worker
            knows.
    """
    if url := get_current_settings().api.url:
        require_answer(url)
        yield
        return
    if port is None and environment.pool():
        raise GenasError(
            f"GENAS_POOL={environment.pool()} needs PREFECT_API_URL: the server that the workers listen to"
        )
    if port is not None:
        require_free(port)
    browser = {"PREFECT_SERVER_UI_ENABLED": "false"} if port is None else {}
    port = port or free_port()
    url = f"http://{HOST}:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    surroundings = environment.of_children(PREFECT_API_URL=url, **browser)
    log = environment.STATE / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            guarded(command), env=surroundings, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        try:
            wait_for(url, process)
        except TimeoutError as error:
            raise GenasError(f"Prefect's server did not come up at {url} ({error}), see {log}") from None
        os.environ["PREFECT_API_URL"] = url  # for the processes in which served runs take place
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                yield
            finally:
                APILogWorker.instance().drain()  # both send in the background, and complain when nobody answers
                EventsWorker.drain_all()
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        stop(process)


def require_answer(url: str) -> None:
    """Return if a Prefect server answers at ``url``; Prefect itself would wait for it, and show its password.

    Raises:
        GenasError: none does.
    """
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        if client.api_healthcheck() is not None:
            raise GenasError(f"no Prefect server answers at {masked(url)}, start one with genas serve")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server at ``url`` answers.

    Raises:
        TimeoutError: it ended, or took longer than :data:`STARTUP`.
    """
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TimeoutError(f"exit status {process.returncode}")
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass  # not yet
        time.sleep(0.2)
    raise TimeoutError(f"{STARTUP:.0f} s")


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

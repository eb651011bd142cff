"""The worker's side of a work pool: one stage, in this clone, for a coordinator in another; no disk is shared.

A stage's inputs come from DVC's remote by the digests in the coordinator's lock, its outputs go there, and what the
lock then says of it goes back as an artifact of the flow run, which Prefect keeps on its server.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.settings import get_current_settings
from prefect.states import Completed, Failed

from genas.flows import environment
from genas.flows.machines import lockfile
from genas.flows.machines.lockfile import Entries
from genas.flows.machines.source import located, require_same
from genas.flows.plan import DVC
from genas.flows.processes.children import Children, StageError
from genas.flows.service.server import require_answer
from genas.flows.stage import reproduce_stage
from genas.flows.version import VERSION
from genas.models.errors import GenasError
from genas.pipeline.machine.addresses import masked

MISTAKE = "Mistake"
"""The name of the state in which a run ends that a user's mistake ended: trying again does not mend it."""


@flow(name="stage", version=VERSION, flow_run_name="{stage}")
def stage_here(profile: str, stage: str, source: dict[str, str], upstream: Entries, scans: list[str]) -> State[Any]:
    """Run one row in this clone.

    Args:
        profile: the profile's path inside the repository.
        stage: the row, as DVC names it.
        source: the coordinator's :func:`genas.flows.machines.source.source`.
        upstream: what the coordinator's lock says of the stages that this one reads.
        scans: those of them that look at data, which each machine has of its own.

    Returns:
        Completed, its message how the stage ended (:func:`genas.flows.stage.reproduce_stage`); or failed, with one
        line.
    """
    children = Children()
    try:
        folder = located(profile)
        require_same(source, folder)
        word = bring_up_to_date(stage, folder, upstream, scans, children)
        create_markdown_artifact(json.dumps(lockfile.entries(folder, [stage]), indent=1), description="for dvc.lock")
        return Completed(message=word)
    except (GenasError, StageError) as error:
        get_run_logger().error(str(error))
        said = f"{str(error).removeprefix(f'{stage}: ')} (worker on {socket.gethostname()})"
        return Failed(message=said, name=MISTAKE if isinstance(error, GenasError) else "Failed")
    finally:
        children.stop()


def bring_up_to_date(stage: str, folder: Path, upstream: Entries, scans: list[str], children: Children) -> str:
    """Bring ``stage`` up to date from the coordinator's inputs and push what it made; how it ended."""
    require_remote(folder)
    tell = get_run_logger().info
    for scan in scans:
        reproduce_stage(scan, folder, children, tell, GENAS_MLFLOW="off")
        require_same_data(scan, lockfile.entries(folder, [scan]), upstream)
    made = {name: entry for name, entry in upstream.items() if name not in scans}
    if made:
        lockfile.merge(folder, made)
        dvc(["pull", "--force", *made], folder, children)
    run = str(runtime.flow_run.id)
    word = reproduce_stage(stage, folder, children, tell, "--pull", "--allow-missing", GENAS_PREFECT_RUN=run)
    dvc(["push", "--run-cache", stage], folder, children)
    return word


def require_same_data(scan: str, here: Entries, there: Entries) -> None:
    """Return if the data of this machine are those that the coordinator saw.

    Raises:
        GenasError: they are not.
    """
    found, wanted = lockfile.outputs(here[scan]), lockfile.outputs(there[scan])
    if found != wanted:
        path = next(path for path in wanted if found.get(path) != wanted[path])
        raise GenasError(f"{scan}: the data are not the coordinator's: {path} is {found.get(path)}, not {wanted[path]}")


def require_remote(folder: Path) -> None:
    """Return if DVC has a default remote.

    Raises:
        GenasError: it has none.
    """
    if lockfile.remote(folder) is None:
        raise GenasError(
            "no DVC remote, through which machines exchange what stages make: dvc remote add --local --default NAME URL"
        )


def dvc(arguments: list[str], folder: Path, children: Children) -> None:
    """Run a command of DVC.

    Raises:
        StageError: it failed.
    """
    lines: list[str] = []
    if children.run([*DVC, *arguments], folder, environment.of_children(), lines.append):
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "failed")
        raise StageError(f"dvc {' '.join(arguments)}: {masked(said.removeprefix('ERROR: '))}")


def work(pool: str, limit: int) -> None:
    """Become a Prefect worker of ``pool``, which is made where it does not exist.

    Raises:
        GenasError: no Prefect server is configured, or it does not answer.
    """
    url = get_current_settings().api.url
    if not url:
        raise GenasError("a worker needs PREFECT_API_URL: the server that the coordinator uses")
    require_answer(url)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and a worker could not be ended
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    command += ["--pool", pool, "--limit", str(limit)]
    os.execve(sys.executable, command, environment.of_children())

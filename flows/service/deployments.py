"""A standing service: every named flow ready to run, the refresh on a schedule and on news of the data."""

from __future__ import annotations

from prefect import serve as serve_deployments
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger, emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from pydantic import ValidationError

from flows.phases import PHASES
from flows.service.ports import HOST
from flows.service.refresh import refresh
from flows.service.server import require_answer, server
from models.errors import GenasError
from pipeline.config import load_params, profile_folder

EVENT = "genas.data.changed"


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
    require_answer(url)
    with temporary_settings({PREFECT_API_URL: url}):
        emit_event(EVENT, resource={"prefect.resource.id": resource(profile)}, payload={"data": names})
        EventsWorker.instance().drain()  # events leave in the background

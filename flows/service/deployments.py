"""A standing service: every named flow ready to run, the refresh on a schedule and on news of the data."""

from __future__ import annotations

from typing import Any, NamedTuple

from prefect import Flow
from prefect import serve as serve_deployments
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger, emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from pydantic import ValidationError

from genas.flows.phases import PHASES, targets_of
from genas.flows.service.ports import HOST
from genas.flows.service.refresh import refresh
from genas.flows.service.server import require_answer, server
from genas.models.errors import GenasError
from genas.pipeline.config import Params, load_params, profile_folder
from genas.pipeline.stages import STAGES

EVENT = "genas.data.changed"


def resource(profile: str) -> str:
    """What the event is about, in Prefect's terms."""
    return f"genas.profile.{load_params(profile_folder(profile)).profile}"


def deployments(profile: str, jobs: int, cron: str | None) -> list[RunnerDeployment]:
    """A deployment of each named flow for ``profile``, and of the refresh with its schedule and its trigger."""
    params = load_params(profile_folder(profile))
    trigger = DeploymentEventTrigger(
        name=f"{EVENT} {params.profile}", expect={EVENT}, match={"prefect.resource.id": resource(profile)}
    )

    def ready(flow: Flow[..., Any], **more: Any) -> RunnerDeployment:
        shown = named(flow.name, params)
        return RunnerDeployment.from_flow(
            flow,
            shown.name,
            parameters={"profile": profile, "jobs": jobs},
            tags=shown.tags,
            description=f"{flow.description}\n\n{shown.about}",
            **more,
        )

    return [*map(ready, PHASES), ready(refresh, cron=cron, triggers=[trigger])]


class Shown(NamedTuple):
    """How a deployment is shown: ``search-demo``, with tags to filter by, and what it walks in Markdown."""

    name: str
    tags: list[str]
    about: str


def named(flow: str, params: Params) -> Shown:
    """How the deployment of a flow for a profile is shown."""
    stages = [STAGES[name] for name in targets_of(flow)] or list(STAGES.values())
    lines = [f"- {stage.title}: {len(rows)} rows" for stage in stages if (rows := stage.rows(params))]
    about = "Brings up to date, with all that they depend on:\n\n" + "\n".join(lines)
    return Shown(f"{flow}-{params.profile}", ["genas", f"profile:{params.profile}", f"phase:{flow}"], about)


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

"""What ``genas run`` does: plan, start Prefect only if something is to be done, show progress, say how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Everything else is imported where it is used: `genas --help` answers at once.


def console(stderr: bool = False) -> Console:
    """Standard output, or standard error."""
    from rich.console import Console

    return Console(stderr=stderr)


def checked(profile: str) -> Path:
    """The profile's folder, its parameters valid.

    Raises:
        GenasError: no such profile, wrong parameters, or links to another source than this one.
    """
    from genas.pipeline.config import load_params, profile_folder
    from genas.pipeline.scaffold.shared import require_code

    folder = profile_folder(profile)
    require_code(folder, load_params(folder).code)
    return folder


def execute(profile: str, targets: tuple[str, ...], jobs: int, wait: bool = False) -> None:
    """Bring ``targets`` up to date; Prefect is started only if something is to be done.

    Args:
        profile: a profile's name or folder.
        targets: stages or rows; none means everything.
        jobs: how many stages run at once.
        wait: for another run of the profile to end.

    Raises:
        GenasError: one line that names what failed by the user's mistake; or another run is working.
        StageError: one line that names what failed otherwise.
    """
    from genas.flows.processes.lock import run_lock
    from genas.pipeline.config import profiles

    folder = checked(profile)
    with run_lock(folder, wait):
        _execute(folder, profile if profile in profiles() else "", targets, jobs)


def conclude(profile: str) -> None:
    """Say what the runs of a profile have found, where its report lies, what to do next."""
    from genas.pipeline.config import profile_folder
    from genas.pipeline.results.terminal import closing

    for line in closing(profile_folder(profile), profile):
        print(line)


def _execute(folder: Path, known: str, targets: tuple[str, ...], jobs: int) -> None:
    """:func:`execute` for a profile whose lock is held; ``known`` is its name where it has one."""
    from genas.flows.plan import plan
    from genas.flows.processes.children import Children
    from genas.flows.progress import shown

    children, name, errors = Children(), known or folder.name, console(stderr=True)
    with shown(errors):
        try:
            stale = plan(folder, targets, children)
        finally:
            children.stop()
    if not stale:
        print(f"{name}: everything is up to date")
        return
    with shown(errors, stale):
        from genas.flows import environment

        environment.for_prefect(console=False)
        from prefect import tags

        from genas.flows.reproduce import reproduce
        from genas.flows.service.history import mark_crashed, tag_of
        from genas.flows.service.server import server
        from genas.flows.version import VERSION

        tag = tag_of(folder)
        with server(), tags(tag, f"profile:{name}", f"version:{VERSION}"):
            mark_crashed(tag)
            ended = reproduce(known or str(folder), targets, jobs, tuple(stale))
    words = ", ".join(f"{list(ended.values()).count(word)} {word}" for word in sorted(set(ended.values())))
    print(f"{name}: {words}")

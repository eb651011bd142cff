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
        GenasError: no such profile, or wrong parameters.
    """
    from pipeline.config import load_params, profile_folder

    folder = profile_folder(profile)
    load_params(folder)
    return folder


def execute(profile: str, targets: tuple[str, ...], jobs: int) -> None:
    """Bring ``targets`` up to date; Prefect is started only if something is to be done.

    Raises:
        GenasError, StageError: one line that names what failed.
    """
    from flows.plan import plan
    from flows.process import Children
    from flows.progress import shown
    from pipeline.config import PROFILES

    folder, children = checked(profile), Children()
    name, errors = (profile if profile in PROFILES else folder.name), console(stderr=True)
    with shown(errors):
        try:
            stale = plan(folder, targets, children)
        finally:
            children.stop()
    if not stale:
        print(f"{name}: everything is up to date")
        return
    with shown(errors, stale):
        from flows import environment

        environment.for_prefect(console=False)
        from flows.reproduce import reproduce
        from flows.service.server import server

        with server():
            ended = reproduce(str(folder) if name != profile else name, targets, jobs, tuple(stale))
    words = ", ".join(f"{list(ended.values()).count(word)} {word}" for word in sorted(set(ended.values())))
    print(f"{name}: {words}")

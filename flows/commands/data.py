"""``genas data``: the data sets of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genas.flows.commands.options import Port, Profile
from genas.flows.run import checked, console

if TYPE_CHECKING:
    from genas.pipeline.fetch.download import Tell
    from genas.pipeline.fetch.sets import Archive

# Everything else is imported where it is used: `genas --help` answers at once.

app = typer.Typer(no_args_is_help=True, help="The data sets of a profile.")


@app.command("check")
def check(profile: Profile = "demo") -> None:
    """Look whether each data set is where it should be."""
    from genas.pipeline.data.stage import check as look

    missing = 0
    for name, ok, message in look(checked(profile)):
        typer.echo(f"{'ok     ' if ok else 'missing'} {name}: {message}")
        missing += not ok
    raise typer.Exit(1 if missing else 0)


@app.command("changed")
def changed(names: list[str], profile: Profile = "demo", port: Port = 4200) -> None:
    """Announce changed data sets: a served profile then refreshes what depends on its data."""
    from genas.flows import environment

    environment.for_prefect(console=False)
    from genas.flows.service.deployments import announce

    announce(profile, names, port)
    typer.echo(f"announced: {', '.join(names)}")


@app.command()
def get(
    names: Annotated[
        list[str],
        typer.Argument(metavar="SET...", help="cifar10, cifar100, coco, imagenet_v2, imagenet_a, imagenet_o."),
    ],
    into: Annotated[Path | None, typer.Option(help="Instead of the data root.")] = None,
) -> None:
    """Download published sets, check and unpack them; a cut download goes on where it stopped."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from genas.pipeline.fetch import get as fetching
    from genas.pipeline.fetch.sets import SETS

    errors = console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    for name in sorted(names, key=lambda name: name in SETS):  # what cannot be had is said at once
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:

            def shown(archive: Archive, progress: Progress = progress) -> Tell:
                task = progress.add_task(archive.name, total=None)
                return lambda here, total: progress.update(task, completed=here, total=total)

            folder, done = fetching.get(name, into, shown)
        typer.echo(f"{name}: {folder}{'' if done else ' (was there)'}")

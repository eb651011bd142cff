"""``genas data``: the data sets of a profile."""

from __future__ import annotations

import typer

from flows.commands.options import Port, Profile
from flows.run import checked

# Everything else is imported where it is used: `genas --help` answers at once.

app = typer.Typer(no_args_is_help=True, help="The data sets of a profile.")


@app.command("check")
def check(profile: Profile = "demo") -> None:
    """Look whether each data set is where it should be."""
    from pipeline.data.stage import check as look

    missing = 0
    for name, ok, message in look(checked(profile)):
        typer.echo(f"{'ok     ' if ok else 'missing'} {name}: {message}")
        missing += not ok
    raise typer.Exit(1 if missing else 0)


@app.command("changed")
def changed(names: list[str], profile: Profile = "demo", port: Port = 4200) -> None:
    """Announce changed data sets: a served profile then refreshes what depends on its data."""
    from flows import environment

    environment.for_prefect(console=False)
    from flows.service.deployments import announce

    announce(profile, names, port)
    typer.echo(f"announced: {', '.join(names)}")

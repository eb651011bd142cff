"""``genas site``: the documentation as pages for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def site(out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder, new or an earlier site.")]) -> None:
    """Write a static site: documents, reports of the profiles that have run, the interface of every module."""
    from genas.flows.site.build import site as build

    typer.echo(build(out))

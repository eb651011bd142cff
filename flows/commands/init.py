"""``genas init``: a profile of one's own, or in an installed package one of the project's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    name: Annotated[str, typer.Argument(help="Of the profile: profiles/NAME.")],
    images: Annotated[
        Path | None,
        typer.Option(
            help="Class folders of photographs, or train and val with them; none: NAME is demo, "
            "mini, laboratory or official, as the project has it."
        ),
    ] = None,
    detect: Annotated[Path | None, typer.Option(help="A set in the layout of COCO, to detect in.")] = None,
    segment: Annotated[Path | None, typer.Option(help="Scenes in the layout of Cityscapes or CamVid.")] = None,
) -> None:
    """Write a small profile for photographs of your own."""
    from genas.pipeline.config import data_root
    from genas.pipeline.scaffold.profile import Folders
    from genas.pipeline.scaffold.profile import init as write

    folder, found = write(name, Folders(images, detect, segment) if images else None)
    typer.echo(f"found    {found}\nprofile  {folder}\ndata     below {data_root()}")
    typer.echo(f"next     genas plan --profile {name}; genas run --profile {name}")

"""Options that several commands share."""

from __future__ import annotations

import os
from typing import Annotated

import typer

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="A folder of profiles/ by its name, paper, or a folder's path.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many stages run at once.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until another run of the profile has ended.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")]
JOBS = min(2, os.cpu_count() or 1)

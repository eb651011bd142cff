"""What the flows call their version: the package's, and the commit where there is one."""

from __future__ import annotations

import subprocess
from importlib.metadata import version

from genas.pipeline.config import CHECKOUT, CODE


def commit() -> str | None:
    """The short hash of the checkout's HEAD, or None outside git and before the first commit."""
    if not CHECKOUT:
        return None
    try:
        said = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=CODE, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git on this machine
        return None
    return said.stdout.strip() or None if said.returncode == 0 else None


VERSION = "+".join(part for part in (version("genas-pipeline"), commit()) if part)

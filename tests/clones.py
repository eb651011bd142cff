"""This project as it is now, in a repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from genas.pipeline.config import REPOSITORY


def copied(root: Path) -> Path:
    """What git tracks here or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if os.path.lexists(REPOSITORY / name):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name, follow_symlinks=False)
    return root


def commit(root: Path) -> None:
    """Make it a repository, with all of it committed."""
    who = ["-c", "user.name=tests", "-c", "user.email=tests@genas.invalid"]
    for command in (["init", "-q"], ["add", "--all", "--force"], [*who, "commit", "-q", "-m", "As it is now"]):
        subprocess.run(["git", *command], cwd=root, check=True)

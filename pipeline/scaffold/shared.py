"""What all profiles have the same: the graph, and what makes a profile's folder a repository of DVC's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.config import PROFILES

SHARED = (
    "dvc.yaml",
    ".dvcignore",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/config.local",
    "code/models",
    "code/pipeline",
)
"""Files and links below a profile's folder. What is local (a remote, say) is the root's, by a link; so is the source,
since DVC takes account of what it is to ignore, bytecode above all, only by paths inside the folder."""


def share(folder: Path) -> None:
    """Lay all of it into a profile's folder below ``profiles/``, as the demo has it (``make graph`` does too).

    Raises:
        OSError: the folder cannot be written.
    """
    for name in SHARED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROFILES["demo"] / name, folder / name, follow_symlinks=False)

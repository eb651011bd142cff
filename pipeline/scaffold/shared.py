"""What all profiles have the same: the graph, and what makes a profile's folder a repository of DVC's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from genas.pipeline.config import PROFILES, REPOSITORY, profiles

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
    """Lay all of it into a profile's folder below ``profiles/``, as the demo has it.

    Raises:
        OSError: the folder cannot be written.
    """
    for name in SHARED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (folder / name).is_symlink():
            (folder / name).unlink()
        shutil.copyfile(PROFILES["demo"] / name, folder / name, follow_symlinks=False)


def share_everywhere() -> None:
    """Lay it into every profile, with the root's graph (``make graph``)."""
    shutil.copyfile(REPOSITORY / "dvc.yaml", PROFILES["demo"] / "dvc.yaml")
    for folder in profiles().values():
        if folder not in (REPOSITORY, PROFILES["demo"]):
            share(folder)


if __name__ == "__main__":
    share_everywhere()

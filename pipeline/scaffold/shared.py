"""What all profiles have the same: the graph, and what makes a profile's folder a repository of DVC's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import CHECKOUT, CODE, REPOSITORY, profiles

PATTERN = Path(__file__).with_name("pattern")
FILES = {"dvc.yaml": "graph.yaml", ".dvcignore": "dvcignore", ".dvc/.gitignore": "gitignore", ".dvc/config": "config"}
"""Files below a profile's folder, by those of the pattern; the graph there is the root's, by a link."""
SOURCE = "../../.." if CHECKOUT else str(CODE)
LINKS = {
    ".dvc/config.local": "../../../.dvc/config.local",
    "code/models": f"{SOURCE}/models",
    "code/pipeline": f"{SOURCE}/pipeline",
}
"""Links below a profile's folder, and where they lead. What is local (a remote, say) is the same for all; so is the
source, since DVC takes account of what it is to ignore, bytecode above all, only by paths inside the folder."""
SHARED = (*FILES, *LINKS)


def share(folder: Path) -> None:
    """Lay all of it into a profile's folder below ``profiles/``.

    Raises:
        OSError: the folder cannot be written.
    """
    for name in SHARED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
    for name, source in FILES.items():
        shutil.copyfile(PATTERN / source, folder / name)
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)
    local = REPOSITORY / ".dvc" / "config.local"
    if not CHECKOUT and not local.exists() and not any((one / ".git").exists() for one in (local, *local.parents)):
        local.parent.mkdir(exist_ok=True)
        local.write_text("[core]\n    no_scm = true\n")


def require_code(folder: Path, code: str) -> None:
    """Check that the source that a profile's rows depend on is the source that runs.

    Raises:
        GenasError: its links lead elsewhere, or nowhere, as after a move to another environment.
    """
    link = folder / code / "pipeline"
    if link.is_symlink() and link.resolve() != CODE / "pipeline":
        raise GenasError(
            f"{link} leads to {link.resolve()}, but what runs is {CODE / 'pipeline'}; "
            "python -m genas.pipeline.scaffold.shared mends it"
        )


def share_everywhere() -> None:
    """Lay it into every profile, with the root's graph (``make graph``)."""
    for folder in profiles().values():
        if folder != REPOSITORY:
            share(folder)


if __name__ == "__main__":
    share_everywhere()

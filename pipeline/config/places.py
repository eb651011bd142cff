"""Where things lie: the profiles' folders and the root of real data."""

from __future__ import annotations

import os
from pathlib import Path

from genas.models.errors import GenasError

REPOSITORY = Path(__file__).resolve().parents[2]
"""Resolved, as ``genas/`` leads to the folders by links."""
PROFILES = {
    "demo": REPOSITORY / "profiles" / "demo",
    "mini": REPOSITORY / "profiles" / "mini",
    "laboratory": REPOSITORY / "profiles" / "laboratory",
    "official": REPOSITORY / "profiles" / "official",
    "paper": REPOSITORY,
}
"""Those of the project itself."""


def profiles() -> dict[str, Path]:
    """Every profile by its name: the project's own, then whatever folder of ``profiles/`` has a ``params.yaml``."""
    folders = sorted(path.parent for path in (REPOSITORY / "profiles").glob("*/params.yaml"))
    return PROFILES | {folder.name: folder for folder in folders if folder.name not in PROFILES}


def profile_folder(profile: str) -> Path:
    """The folder of a profile given by name, or by path for a profile of one's own.

    Raises:
        GenasError: no such profile.
    """
    known = profiles()
    folder = known.get(profile, Path(profile))
    if not (folder / "params.yaml").exists():
        raise GenasError(f"unknown profile {profile!r}, expected {', '.join(known)} or a folder with a params.yaml")
    return folder.resolve()


def data_root() -> Path:
    """Where real data lies: ``GENAS_DATA``, else ``../shared/data`` beside the repository, else ``./data``."""
    configured = os.environ.get("GENAS_DATA")
    if configured:
        return Path(configured).expanduser()
    shared = REPOSITORY.parent / "shared" / "data"
    return shared if shared.is_dir() else REPOSITORY / "data"

"""Where things lie: the code, the profiles' folders and the root of real data."""

from __future__ import annotations

import os
from pathlib import Path

from genas.models.errors import GenasError

CODE = Path(__file__).resolve().parents[2]
"""The folder of the rooms: the root of a checkout, to which ``genas/`` leads by links, or the installed package."""
CHECKOUT = (CODE / "pyproject.toml").exists()
"""Whether it is a checkout."""


def home_of(here: Path) -> Path:
    """Where profiles, data and databases lie if the package is installed.

    ``GENAS_HOME``, else the nearest folder around ``here`` that has a profile in ``profiles/``, else ``here``.
    """
    if named := os.environ.get("GENAS_HOME"):
        return Path(named).expanduser().resolve()
    around = (folder for folder in (here, *here.parents) if any(folder.glob("profiles/*/params.yaml")))
    return next(around, here)


REPOSITORY = CODE if CHECKOUT else home_of(Path.cwd())
"""The root of a checkout; else what takes its place."""
OWN = ("demo", "mini", "laboratory", "official")
PROFILES = {name: REPOSITORY / "profiles" / name for name in OWN} | {"paper": REPOSITORY} if CHECKOUT else {}
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
        expected = f"{', '.join(known)} or a folder" if known else "a folder"
        raise GenasError(f"unknown profile {profile!r}, expected {expected} with a params.yaml")
    return folder.resolve()


def data_root() -> Path:
    """Where real data lies: ``GENAS_DATA``, else ``../shared/data`` beside the repository, else ``./data``."""
    configured = os.environ.get("GENAS_DATA")
    if configured:
        return Path(configured).expanduser()
    shared = REPOSITORY.parent / "shared" / "data"
    return shared if shared.is_dir() else REPOSITORY / "data"

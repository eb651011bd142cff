"""What all profiles have the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from genas.pipeline.config import PROFILES, REPOSITORY
from genas.pipeline.scaffold.shared import SHARED, share

OWN = [name for name, folder in PROFILES.items() if folder != REPOSITORY]


def contents(folder: Path) -> dict[str, str | bytes]:
    """Of each file what is in it, of each link where it leads."""
    return {
        name: str((folder / name).readlink()) if (folder / name).is_symlink() else (folder / name).read_bytes()
        for name in SHARED
    }


@pytest.mark.parametrize("profile", OWN)
def test_the_projects_profiles_have_it(profile: str) -> None:
    assert contents(PROFILES[profile]) == contents(PROFILES["demo"]), "run make graph"


def test_it_is_the_roots_or_leads_there() -> None:
    demo = PROFILES["demo"]
    for name in ("dvc.yaml", ".dvc/.gitignore"):
        assert (demo / name).read_bytes() == (REPOSITORY / name).read_bytes()
    assert (demo / "code" / "pipeline").resolve() == REPOSITORY / "pipeline"
    assert (demo / "code" / "models").resolve() == REPOSITORY / "models"
    assert (demo / ".dvc" / "config.local").resolve() == REPOSITORY / ".dvc" / "config.local"


def test_it_is_laid_into_a_new_profile_and_over_what_was_there(tmp_path: Path) -> None:
    share(tmp_path)
    assert contents(tmp_path) == contents(PROFILES["demo"])
    (tmp_path / ".dvcignore").write_text("nothing\n")
    share(tmp_path)
    assert contents(tmp_path) == contents(PROFILES["demo"])

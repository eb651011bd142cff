"""What all profiles have the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from genas.models.errors import GenasError
from genas.pipeline.config import PROFILES, REPOSITORY
from genas.pipeline.config.places import home_of
from genas.pipeline.scaffold.shared import SHARED, require_code, share

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


def test_links_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    require_code(PROFILES["demo"], "code")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pipeline").symlink_to(tmp_path)
    with pytest.raises(GenasError, match=r"code/pipeline leads to .*, but what runs is .*pipeline; python -m genas\."):
        require_code(tmp_path, "code")


def test_an_installed_package_works_where_profiles_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENAS_HOME", raising=False)
    profile = tmp_path / "work" / "profiles" / "mine"
    profile.mkdir(parents=True)
    assert home_of(profile) == profile, "nothing is there yet"
    (profile / "params.yaml").touch()
    assert home_of(profile) == home_of(tmp_path / "work") == tmp_path / "work"
    monkeypatch.setenv("GENAS_HOME", str(tmp_path / "named"))
    assert home_of(profile) == tmp_path / "named"

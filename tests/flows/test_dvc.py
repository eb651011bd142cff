"""DVC's own commands in a profile's folder: they see this profile alone, and what they show is right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import PROFILES, REPOSITORY
from pipeline.stages import STAGES
from tests.conftest import tiny_params
from tests.flows.conftest import Toy

ROW, CELL = "supernet@small-0", "zoo@darts_v2_c10"
METRICS = "out/supernet/small-0/metrics.json"


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Toy:
    """A clone's shape: a repository with a real profile beside a toy one, two rows of it made, and all in git."""
    root = Toy(tmp_path_factory.mktemp("clone") / "repository")
    root.write()
    root.call("git", "init", "--quiet", "--initial-branch=main")
    root.dvc("init", "--quiet")
    (root.folder / ".gitignore").write_text("out/\n.scratch/\n.genas/\nmlruns/\n")
    tiny = Toy(root.folder / "profiles" / "tiny")
    shutil.copytree(PROFILES["demo"], tiny.folder, ignore=shutil.ignore_patterns("out", "dvc.lock", "tmp", "dvc_plots"))
    params = {**tiny_params(), "code": str(REPOSITORY)}
    params["matrix"]["supernet"] = {"dataset": ["small"], "seed": [0]}
    (tiny.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (root.folder / ".dvc" / "cache").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        tiny.dvc("repro", "--quiet", ROW, CELL)
    tiny.call("git", "add", "--all", str(root.folder))
    tiny.call("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "first")
    return tiny


@pytest.fixture
def changed(committed: Toy, tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The same with one epoch less, run by ``dvc exp run``."""
    monkeypatch.setenv("GENAS_DATA", str(small_data))
    shutil.copytree(committed.folder.parent.parent, tmp_path / "repository", symlinks=True)
    tiny = Toy(tmp_path / "repository" / "profiles" / "tiny")
    tiny.dvc("exp", "run", "--quiet", "--name", "shorter", "--set-param", "supernet.small.epochs=2", ROW)
    return tiny


def said(tiny: Toy, *arguments: str) -> Any:
    return json.loads(tiny.dvc(*arguments, "--json"))


@pytest.mark.slow
def test_every_command_sees_this_profile_alone(committed: Toy) -> None:
    status = said(committed, "status")
    assert ROW not in status
    assert CELL not in status
    assert {name.partition("@")[0] for name in status} <= set(STAGES)
    drawn = committed.dvc("dag", "--mermaid")
    assert f'"{ROW}"' in drawn
    assert "dvc.yaml:" not in drawn, "a stage of another profile"
    assert set(said(committed, "metrics", "show")[""]["data"]) >= {METRICS}
    assert all(not path.startswith("..") for path in said(committed, "metrics", "show")[""]["data"])


@pytest.mark.slow
def test_differences_are_those_of_the_experiment(changed: Toy) -> None:
    assert said(changed, "params", "diff")["params.yaml"]["supernet.small.epochs"] == {"old": 3, "new": 2, "diff": -1}
    found = said(changed, "metrics", "diff")
    assert set(found) == {METRICS}
    now = json.loads((changed.folder / METRICS).read_text())
    assert {name: one["new"] for name, one in found[METRICS].items()}.items() <= now.items()
    page = Path(changed.dvc("plots", "diff").strip().removeprefix("file://"))
    drawn = page.read_text()
    assert "history.csv" in drawn
    assert "workspace" in drawn
    assert "HEAD" in drawn


@pytest.mark.slow
def test_experiments_are_listed_beside_what_they_start_from(changed: Toy) -> None:
    listed = said(changed, "exp", "show")
    base = next(one for one in listed if one["rev"] != "workspace")
    (experiment,) = (one["revs"][0] for one in base["experiments"])
    assert experiment["name"] == "shorter"
    for one, epochs in ((base, 3), (experiment, 2)):
        assert one["data"]["params"]["params.yaml"]["data"]["supernet"]["small"]["epochs"] == epochs


@pytest.mark.slow
def test_a_colleague_pulls_everything_and_recomputes_nothing(
    committed: Toy, tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENAS_DATA", str(small_data))
    committed.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    committed.dvc("push", "--quiet")
    root = committed.folder.parent.parent
    committed.call("git", "clone", "--quiet", str(root), str(tmp_path / "clone"))
    clone = Toy(tmp_path / "clone" / "profiles" / "tiny")
    clone.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    clone.dvc("pull", "--quiet", "--allow-missing", ROW, CELL)
    for path in (METRICS, "out/supernet/small-0/trained.safetensors"):
        assert (clone.folder / path).read_bytes() == (committed.folder / path).read_bytes()
    assert "didn't change, skipping" in clone.dvc("repro", ROW)

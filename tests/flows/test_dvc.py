"""DVC's own commands in a profile's folder: they see this profile alone, and what they show is right."""

from __future__ import annotations

import compileall
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from genas.flows.plan import plan
from genas.flows.processes.children import Children
from genas.pipeline.config import PROFILES, REPOSITORY, load_params
from genas.pipeline.scaffold.shared import share
from genas.pipeline.stages.graph import graph
from tests.clones import commit, copied
from tests.conftest import tiny_params
from tests.flows.conftest import Toy

METRICS, HISTORY, WEIGHTS = (f"out/supernet/small-0/{name}" for name in
                             ("metrics.json", "history.csv", "trained.safetensors"))  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def few_rows() -> dict[str, Any]:
    """The tiny parameters with a supernet, a published cell and the report alone."""
    nothing = dict.fromkeys(("retrain", "shift", "curvature", "detect", "segment"))
    params = {**tiny_params(), **nothing, "profile": "tiny", "rows": {}}
    params["data"] = {"small": params["data"]["small"]}
    params["matrix"] = {stage: {axis: [] for axis in axes} for stage, axes in params["matrix"].items()}
    params["matrix"] |= {"supernet": {"dataset": ["small"], "seed": [0]}, "zoo": {"row": ["darts_v2_c10"]}}
    return params


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Toy:
    """A clone of this project with a tiny profile beside the others, all of it made, and all in git."""
    root = copied(tmp_path_factory.mktemp("clone") / "repository")
    tiny = Toy(root / "profiles" / "tiny")
    tiny.folder.mkdir()
    (tiny.folder / "params.yaml").write_text(yaml.safe_dump(few_rows(), sort_keys=False))
    share(tiny.folder)
    commit(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        patch.setenv("GENAS_MLFLOW", "off")
        tiny.dvc("repro", "--quiet")
    keep(tiny, "made")
    return tiny


@pytest.fixture
def again(committed: Toy, tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The same elsewhere, to be changed."""
    monkeypatch.setenv("GENAS_DATA", str(small_data))
    monkeypatch.setenv("GENAS_MLFLOW", "off")
    shutil.copytree(root_of(committed), tmp_path / "repository", symlinks=True)
    return Toy(tmp_path / "repository" / "profiles" / "tiny")


def root_of(profile: Toy) -> Path:
    return profile.folder.parent.parent


def keep(profile: Toy, message: str) -> None:
    """Commit all that git does not ignore."""
    profile.call("git", "add", "--all", str(root_of(profile)))
    profile.call("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", message)


def shorter(profile: Toy, *options: str) -> None:
    """An experiment: one epoch less."""
    profile.dvc("exp", "run", "--quiet", *options, "--name", "shorter", "--set-param", "supernet.small.epochs=2")


def said(profile: Toy, *arguments: str) -> Any:
    return json.loads(profile.dvc(*arguments, "--json"))


def stale(profile: Toy) -> set[str]:
    """The rows that DVC would run but for the scans, which it always does."""
    return {name for name, why in said(profile, "status").items() if why != ["always changed"]}


def rows_of(folder: Path) -> set[str]:
    """Every row of a profile as DVC names it."""
    return {"@".join(filter(None, key)) for key in graph(load_params(folder))}


def uncommitted(profile: Toy) -> set[str]:
    """What git would commit now, relative to the repository."""
    return {line[3:] for line in profile.call("git", "status", "--porcelain", str(root_of(profile))).splitlines()}


@pytest.mark.parametrize("profile", PROFILES)
def test_of_the_source_dvc_digests_no_bytecode(profile: str) -> None:
    """DVC walks a dependency as here; by links to the source, within the repository of its own that a profile is."""
    from dvc.repo import Repo

    folder = PROFILES[profile].resolve()
    compileall.compile_file(REPOSITORY / "pipeline" / "search" / "evolution.py", quiet=1)
    with Repo(str(folder)) as repo:
        assert Path(repo.root_dir) == folder
        code = folder / load_params(folder).code / "pipeline"
        walked = {Path(path).relative_to(code) for path in repo.dvcignore.find(repo.fs, str(code))}
    source = REPOSITORY / "pipeline"
    there = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    assert Path("search/evolution.py") in walked
    assert {path for path in there if path.suffix == ".pyc"}, "there is some"
    assert walked == {path for path in there if path.suffix != ".pyc"}


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["demo", "paper"])
def test_every_command_that_only_looks_sees_one_profile_alone(committed: Toy, profile: str) -> None:
    root = root_of(committed)
    shown = Toy(root / PROFILES[profile].relative_to(REPOSITORY))
    rows = rows_of(shown.folder)
    assert set(said(shown, "status")) <= rows
    assert set(re.findall(r'node\d+\["(.+?)"\]', shown.dvc("dag", "--mermaid"))) == rows
    assert set(shown.dvc("stage", "list", "--name-only").split()) == rows
    places = {f"out/{stage}/{row}/metrics.json" for stage, row in graph(load_params(shown.folder))}
    assert set(said(shown, "metrics", "show")[""].get("data", {})) <= places
    assert said(shown, "metrics", "diff") == {}
    assert said(shown, "params", "diff") == {}
    folders = {Path(place).parent for place in places}
    assert {Path(path).parent for path in said(shown, "plots", "show").get("data", {})} <= folders
    assert {Path(path).parent for path in said(shown, "plots", "diff").get("data", {})} <= folders
    (listed,) = (one for one in said(shown, "exp", "show") if one["rev"] == "workspace")
    assert set(listed["data"]["params"]) == {"params.yaml"}
    assert set(listed["data"]["metrics"]) <= places


@pytest.mark.slow
def test_what_is_made_is_up_to_date_and_shown(committed: Toy) -> None:
    compileall.compile_dir(root_of(committed) / "pipeline", quiet=1)
    compileall.compile_dir(root_of(committed) / "models", quiet=1)
    assert stale(committed) == set(), "nor does bytecode make anything stale"
    found = said(committed, "metrics", "show")[""]["data"]
    assert found[METRICS]["data"] == json.loads((committed.folder / METRICS).read_text())
    page = Path(committed.dvc("plots", "show", HISTORY, "--out", "../../../page").strip().removeprefix("file://"))
    assert "train_loss" in page.read_text()
    assert uncommitted(committed) == set()


@pytest.mark.slow
def test_differences_are_those_of_the_experiment(again: Toy) -> None:
    """Against HEAD, and once it is committed against the commit before; git has only what is to be told from it."""
    shorter(again)
    assert uncommitted(again) == {"profiles/tiny/dvc.lock", "profiles/tiny/params.yaml"}
    for since in ("HEAD", "HEAD~1"):
        if since == "HEAD~1":
            keep(again, "shorter")
        assert said(again, "params", "diff", since)["params.yaml"] == {
            "supernet.small.epochs": {"old": 3, "new": 2, "diff": -1}
        }
        found = said(again, "metrics", "diff", since)
        assert set(found) == {METRICS}
        now = json.loads((again.folder / METRICS).read_text())
        assert {name: one["new"] for name, one in found[METRICS].items()}.items() <= now.items()
        changed = {one["path"] for one in said(again, "diff", since)["modified"]}
        assert {METRICS, HISTORY, WEIGHTS} <= changed
        page = Path(again.dvc("plots", "diff", since).strip().removeprefix("file://"))
        drawn = page.read_text()
        assert all(word in drawn for word in ("history.csv", "workspace", since))


@pytest.mark.slow
@pytest.mark.parametrize("apart", [(), ("--temp",)], ids=["here", "apart"])
def test_experiments_are_listed_beside_what_they_start_from(again: Toy, apart: tuple[str, ...]) -> None:
    shorter(again, *apart)
    listed = said(again, "exp", "show")
    base = next(one for one in listed if one["rev"] != "workspace")
    (experiment,) = (one["revs"][0] for one in base["experiments"])
    assert experiment["name"] == "shorter"
    for one, epochs in ((base, 3), (experiment, 2)):
        assert one["data"]["params"]["params.yaml"]["data"]["supernet"]["small"]["epochs"] == epochs
    again.dvc("exp", "apply", "shorter")
    assert uncommitted(again) == {"profiles/tiny/dvc.lock", "profiles/tiny/params.yaml"}
    assert (again.folder / "code" / "pipeline").is_symlink()
    assert json.loads((again.folder / METRICS).read_text()) == experiment["data"]["metrics"][METRICS]["data"]
    assert stale(again) == set()


@pytest.mark.slow
def test_a_colleague_pulls_everything_and_recomputes_nothing(again: Toy, tmp_path: Path) -> None:
    """By one remote, which is set at the root in one clone and in the profile in the other."""
    add = ("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    root, elsewhere = Toy(root_of(again)), tmp_path / "elsewhere"
    root.dvc(*add)
    again.dvc("push", "--quiet")
    again.call("git", "clone", "--quiet", str(root.folder), str(elsewhere))
    clone = Toy(elsewhere / "profiles" / "tiny")
    clone.dvc(*add)
    assert "store" in Toy(elsewhere).dvc("remote", "list")
    clone.dvc("pull", "--quiet")
    for path in (METRICS, WEIGHTS):
        assert (clone.folder / path).read_bytes() == (again.folder / path).read_bytes()
    said_of_all = clone.dvc("repro")
    for row in rows_of(clone.folder) - {"data@small", "measures"}:
        assert f"Stage '{row}' didn't change, skipping" in said_of_all
    assert (elsewhere / ".dvc" / "cache" / "files").is_dir(), "one cache for all profiles"
    assert not (clone.folder / ".dvc" / "cache").exists()


@pytest.mark.parametrize("kept", [path for path in PROFILES.values() if (path / "kept").exists()])
def test_what_is_kept_in_git_is_whole_and_of_the_lock(kept: Path) -> None:
    lock, known = (kept / "dvc.lock").read_text(), {}
    for path in (path for path in (kept / "kept").rglob("*") if path.is_file()):
        content = path.read_bytes()
        known[f"{path.parent.name}{path.name}"] = content
        assert hashlib.md5(content).hexdigest() == path.parent.name + path.stem
    listed = {entry["md5"] for name in known if name.endswith(".dir") for entry in json.loads(known[name])}
    assert listed <= known.keys(), "a folder lacks files"
    assert [name for name in known if name not in listed and f"md5: {name}" not in lock] == [], "push the row again"


@pytest.mark.slow
def test_what_a_profile_keeps_in_git_needs_no_other_remote(again: Toy, tmp_path: Path) -> None:
    again.dvc("push", "--quiet", "--remote", "kept", "supernet@small-0")
    keep(again, "kept")
    elsewhere = tmp_path / "elsewhere"
    again.call("git", "clone", "--quiet", str(root_of(again)), str(elsewhere))
    clone = Toy(elsewhere / "profiles" / "tiny")
    clone.dvc("pull", "--quiet", "--remote", "kept", "supernet@small-0")
    assert (clone.folder / WEIGHTS).read_bytes() == (again.folder / WEIGHTS).read_bytes()
    assert not (clone.folder / "out" / "zoo").exists()


@pytest.mark.slow
def test_a_plan_runs_scans_where_they_would_leave_something_else(
    again: Toy, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves the lock that DVC leaves by itself."""
    lock, log = again.folder / "dvc.lock", again.folder / ".scratch" / "logs" / "scan.log"
    before = lock.read_bytes()
    assert not plan(again.folder, (), Children())
    assert not log.exists(), "no scan was run"
    assert lock.read_bytes() == before
    shutil.copytree(small_data, tmp_path / "data")
    monkeypatch.setenv("GENAS_DATA", str(tmp_path / "data"))
    assert not plan(again.folder, (), Children()), "the same data elsewhere"
    (tmp_path / "data" / "small" / "classes.txt").write_text("nil\none\ntwo\n")
    assert set(plan(again.folder, (), Children())) == {"supernet@small-0", "report"}
    assert "data@small" in log.read_text()
    assert "Running stage 'measures'" not in log.read_text()
    found = lock.read_bytes()
    assert found != before
    lock.write_bytes(before)
    again.dvc("repro", "--quiet", "--single-item", "data@small")
    assert lock.read_bytes() == found

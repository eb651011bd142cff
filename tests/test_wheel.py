"""What a wheel claims and brings, and that it works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from setuptools import PackageFinder

from genas.pipeline.config import REPOSITORY
from tests.clones import copied
from tests.pipeline.scaffold.test_scaffold import write_photographs

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
ROOMS = ("models", "pipeline", "flows", "benchmarks")


def test_every_package_of_the_rooms_lies_in_the_one_that_is_claimed() -> None:
    asked = PROJECT["tool"]["setuptools"]["packages"]["find"]
    found = set(PackageFinder.find(str(REPOSITORY), include=asked["include"]))
    files = [path.relative_to(REPOSITORY) for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    assert found == {"genas", *(".".join(("genas", *file.parent.parts)) for file in files)}


def test_every_file_that_is_no_code_is_package_data() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    brought = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in REPOSITORY.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    listed = subprocess.run(["git", "ls-files", *ROOMS], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    tracked = {REPOSITORY / name for name in listed.stdout.split("\n") if name and not name.endswith(".py")}
    assert tracked <= brought


def test_one_version_is_told() -> None:
    version = PROJECT["project"]["version"]
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == version
    headings = [line for line in (REPOSITORY / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert next(line for line in headings if line != "## Unreleased") == f"## {version}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, so that nothing is left here."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copied(folder / "source")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True)
    (built,) = folder.glob("*.whl")
    return built


class Elsewhere:
    """A folder in which somebody works who has nothing but the wheel, installed.

    Attributes:
        home: the folder.
        site: what ``pip install --target`` has made.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.home, self.site = folder / "home", folder / "site"
        self.home.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(self.site)]
        subprocess.run([*pip, str(wheel)], check=True)

    def call(self, *command: str, status: int = 0) -> str:
        """What a command says."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GENAS_", "MLFLOW_", "PREF"))}
        path = os.pathsep.join([str(self.site / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        more = {"PYTHONPATH": str(self.site), "PATH": path, "GENAS_MLFLOW": "off", "GENAS_DEVICE": "cpu"}
        said = subprocess.run(command, cwd=self.home, env={**kept, **more}, capture_output=True, text=True, check=False)
        assert said.returncode == status, said.stderr
        return said.stderr if status else said.stdout


@pytest.mark.slow
def test_a_wheel_claims_one_name_and_brings_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"genas", f"genas_pipeline-{PROJECT['project']['version']}.dist-info"}
    assert {
        "genas/models/networks/published.json", "genas/models/fast/native/blocks.c",
        "genas/pipeline/scaffold/template.yaml", "genas/pipeline/scaffold/pattern/graph.yaml",
    } <= set(names)  # fmt: skip


@pytest.mark.slow
def test_a_profile_is_made_planned_and_run_where_only_the_wheel_is(wheel: Path, tmp_path: Path) -> None:
    there = Elsewhere(tmp_path, wheel)
    assert there.call("genas", "--version") == f"genas {PROJECT['project']['version']}\n"
    where = there.call(sys.executable, "-c", "import genas.pipeline as p; print(p.__file__)")
    assert Path(where.strip()) == there.site / "genas/pipeline/__init__.py"
    write_photographs(there.home / "mine", 11)
    assert "18 + 4 photographs" in there.call("genas", "init", "pets", "--images", "mine")
    profile = there.home / "profiles" / "pets"
    assert (profile / "code/pipeline").resolve() == there.site / "genas/pipeline"
    planned = json.loads(there.call("genas", "plan", "--profile", "pets", "--device", "H100", "--json"))
    assert planned
    there.call("genas", "init", "demo")
    there.call("genas", "run", "zoo", "--profile", "demo")
    assert (there.home / "profiles/demo/out/zoo/darts_v2_c10/metrics.json").exists()
    assert "everything is up to date" in there.call("genas", "run", "zoo", "--profile", "demo")
    assert "ok   params.yaml: profile demo" in there.call("genas", "doctor")
    link = there.home / "profiles/demo/code/pipeline"
    link.unlink()
    link.symlink_to(tmp_path)
    line = f"error: {link} leads to {tmp_path}, but what runs is {there.site / 'genas/pipeline'}; "
    assert there.call("genas", "run", "zoo", "--profile", "demo", status=2).startswith(line)
    there.call(sys.executable, "-m", "genas.pipeline.scaffold.shared")
    assert "everything is up to date" in there.call("genas", "run", "zoo", "--profile", "demo")

"""A toy profile: a real DVC repository of ten small stages in the shape of the project's own graph."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genas.flows import environment
from genas.pipeline.config import PROFILES

STAGE = '''
"""One toy stage: stage.py NAME DEPENDENCY... leaves a number made of its dependencies' numbers."""
import json, os, pathlib, subprocess, sys, time

name, *dependencies = sys.argv[1:]
root = pathlib.Path.cwd()
runs = root / "runs"  # one file a process, for the tests
runs.mkdir(exist_ok=True)
(runs / f"{name} {os.getpid()}").touch()
fault = root / "faults" / name
what = fault.read_text() if fault.exists() else ""
if what == "crash once":
    fault.unlink()
    raise RuntimeError("injected")
if what == "crash":
    raise RuntimeError("injected")
if what == "mistake":
    print("error: params.yaml: sigma must increase", file=sys.stderr)
    sys.exit(2)
if what == "hang":
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
if what.startswith("meet "):  # waits for those others to run at the same time, in vain if they do not
    while any(not list(runs.glob(f"{other} *")) for other in what.split()[1:]):
        time.sleep(0.05)
stage, _, row = name.partition("@")
out = root / "out" / stage / row
out.mkdir(parents=True, exist_ok=True)
if stage == "data":
    content = (root / "raw" / f"{row}.txt").read_text()
    (out / "manifest.json").write_text(json.dumps({"digest": content.strip()}))
else:
    found = [file for one in dependencies for file in sorted((root / one).rglob("*.json"))]
    text = "".join(file.read_text() for file in found)
    (out / "metrics.json").write_text(json.dumps({"value": sum(map(ord, text)) + len(name)}))
'''

GRAPH = """
stages:
  data:
    foreach: [a, b]
    do:
      cmd: python stage.py data@${item}
      always_changed: true
      outs:
        - out/data/${item}: {persist: true}
  supernet:
    matrix: {dataset: [a, b], seed: [0]}
    cmd: python stage.py supernet@${item.dataset}-${item.seed} out/data/${item.dataset}
    deps: ["out/data/${item.dataset}"]
    outs: ["out/supernet/${item.dataset}-${item.seed}"]
  search:
    matrix: {dataset: [a, b], metric: [flatness, angle], seed: [0]}
    cmd: python stage.py search@${key} out/supernet/${item.dataset}-${item.seed}
    deps: ["out/supernet/${item.dataset}-${item.seed}"]
    outs: ["out/search/${key}"]
  report:
    cmd: python stage.py report out/search
    deps: [out/search]
    outs: [out/report]
"""


class Toy:
    """The toy profile's folder, and what the tests ask of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fault(self, stage: str, what: str) -> None:
        """Let a stage go wrong: ``crash``, ``crash once``, ``mistake``, ``hang`` or ``meet OTHER ...``."""
        (self.folder / "faults").mkdir(exist_ok=True)
        (self.folder / "faults" / stage).write_text(what)

    def runs(self, stage: str = "") -> list[str]:
        """The name of the stage for every process that a stage had so far."""
        return sorted(note.name.split()[0] for note in (self.folder / "runs").glob(f"{stage}*"))

    def forget(self) -> None:
        """Empty what :meth:`runs` tells."""
        for note in (self.folder / "runs").glob("*"):
            note.unlink()

    def outputs(self) -> dict[str, str]:
        """Every file under ``out``."""
        files = sorted(file for file in (self.folder / "out").rglob("*.json"))
        return {str(file.relative_to(self.folder)): file.read_text() for file in files}

    def cached(self, output: str) -> Path:
        """Where DVC's cache keeps a file of the outputs."""
        digest = hashlib.md5((self.folder / output).read_bytes()).hexdigest()
        return self.folder / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]

    def damage(self, output: str, content: bytes | None) -> None:
        """Another content of a cached file, protected as DVC leaves it, or none; what stood in ``out`` is gone."""
        kept = self.cached(output)
        kept.chmod(0o644)
        kept.unlink() if content is None else kept.write_bytes(content)
        if content is not None:
            kept.chmod(0o444)
        (self.folder / output).unlink()

    def call(self, *command: str) -> str:
        """Run a command in the profile's folder."""
        surroundings = environment.of_children()
        return subprocess.run(
            command, cwd=self.folder, env=surroundings, check=True, capture_output=True, text=True
        ).stdout

    def dvc(self, *arguments: str) -> str:
        """Run dvc in the profile's folder."""
        return self.call(sys.executable, "-m", "dvc", *arguments)

    def write(self) -> None:
        """Write the profile's files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "dvc.yaml").write_text(GRAPH)
        (self.folder / "stage.py").write_text(STAGE)
        (self.folder / "raw").mkdir()
        for name in "ab":
            (self.folder / "raw" / f"{name}.txt").write_text(name)
        (self.folder / "params.yaml").write_text((PROFILES["demo"] / "params.yaml").read_text())


def repository(folder: Path) -> Toy:
    """A toy profile inside a repository whose root is a profile too, each a repository of DVC's own."""
    root = Toy(folder)
    root.write()
    (root.folder / ".gitignore").write_text("out/\n.scratch/\nruns/\nfaults/\n")
    root.call("git", "init", "--quiet", "--initial-branch=main")
    root.dvc("init", "--quiet")
    inner = Toy(root.folder / "profiles" / "toy")
    inner.write()
    inner.dvc("init", "--quiet", "--subdir")
    return inner


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Made once: a toy of which nothing has run; not to be used, but copied."""
    return repository(tmp_path_factory.mktemp("fresh") / "repository")


@pytest.fixture(scope="session")
def finished(fresh: Toy, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Made once: a toy that bare ``dvc repro`` has brought up to date; not to be used, but copied."""
    toy = copied(fresh, tmp_path_factory.mktemp("finished"))
    toy.dvc("repro", "--quiet")
    return toy


def copied(toy: Toy, folder: Path) -> Toy:
    """The same repository elsewhere."""
    shutil.copytree(toy.folder.parent.parent, folder / "repository", symlinks=True)
    return Toy(folder / "repository" / "profiles" / "toy")


@pytest.fixture
def toy(fresh: Toy, tmp_path: Path) -> Toy:
    """A toy profile of which nothing has run."""
    return copied(fresh, tmp_path)


@pytest.fixture
def done(finished: Toy, tmp_path: Path) -> Toy:
    """A toy profile that is up to date."""
    toy = copied(finished, tmp_path)
    toy.forget()
    return toy


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own, for the flows that run in this process."""
    environment.apply(environment.QUIET | environment.PREFECT)
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


def alive(folder: Path) -> list[int]:
    """The processes that work below ``folder``, or whose environment names it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                below = (entry / "cwd").readlink().is_relative_to(folder)
                named = str(folder).encode() in (entry / "environ").read_bytes()
                zombie = "\nState:\tZ" in (entry / "status").read_text()
            except OSError:
                continue  # it has ended meanwhile, or is not ours
            if (below or named) and not zombie:
                found.append(int(entry.name))
    return found

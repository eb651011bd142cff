"""SIGKILL at random moments: the row, or the run, goes on to the bytes of an unkilled one; no process is left."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from tests.conftest import killed_at_random
from tests.faults.running import Forked
from tests.faults.templates import Templates
from tests.flows.conftest import alive
from tests.test_chain import environment, make_profile, measured

ROWS = {
    "supernet": ("plain", "dataset=small seed=0"),
    "search": ("trained", "dataset=small metric=flatness seed=0"),
    "retrain": ("trained", "row=published"),
    "detect": ("scenes", "row=found"),
    "segment": ("scenes", "row=found"),
    "supernet201": ("laboratory", "dataset=small recipe=darts seed=0"),
    "nasbench201": ("laboratory", "dataset=small recipe=darts seed=0"),
}
"""The stages that resume: a template that holds what they read, and the row."""
KILLS = 9
"""Moments of each stage."""
RUN_KILLS = 6
"""Moments of a whole run."""
ENDING = 90.0
"""Seconds that what a killed run has started may take to save its work and end."""


@dataclass(frozen=True)
class Killed:
    """What came of killing a stage or a run."""

    what: str
    hits: int
    same: bool
    left: int


def processes_of(folder: Path) -> int:
    """How many processes of a folder are there still, after waiting for them to end."""
    deadline = time.monotonic() + ENDING
    while (left := alive(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(left)


def kill_stage(stage: str, templates: Templates, kills: int) -> Killed:
    """Kill a row of a stage ``kills`` times, then let it end."""
    template, axes = ROWS[stage]
    place = templates.copy(template)
    out = place.root / "out" / stage / "-".join(axis.split("=")[1] for axis in axes.split())
    shutil.rmtree(out, ignore_errors=True)
    left: list[int] = []

    def take() -> dict[str, bytes]:
        files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "timing.json"]
        found = {str(path.relative_to(out)): path.read_bytes() for path in files}
        shutil.rmtree(out)
        return found

    whole, resumed, hits = killed_at_random(
        lambda: Forked(place.call(f"pipeline {stage} {axes}", {})),
        take,
        kills,
        (0.05, 0.95),
        lambda: left.append(processes_of(place.folder)),
    )
    shutil.rmtree(place.folder)
    return Killed(stage, hits, bool(whole) and whole == resumed, sum(left))


def make_run(folder: Path) -> Path:
    """A repository whose chain ends with one retrained network."""
    root = make_profile(folder)
    params = yaml.safe_load((root / "params.yaml").read_text())
    for stage in ("shift", "curvature", "detect", "segment"):
        params["matrix"][stage]["row"] = []
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return root


def kill_run(folder: Path, kills: int) -> Killed:
    """Kill ``genas run`` itself, and nothing of what it has started, ``kills`` times; then let it end."""
    whole, killed = make_run(folder / "whole"), make_run(folder / "killed")

    def start(root: Path) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "genas.flows.cli",
            "run",
            "retrain@found",
            "--profile",
            str(root),
            "--jobs",
            "1",
        ]
        database = f"sqlite+aiosqlite:///{folder / 'prefect.db'}"
        surroundings = {**environment(root, mlflow=False), "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
        return subprocess.Popen(
            command, env=surroundings, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    started = time.monotonic()
    assert start(whole).wait() == 0
    seconds, hits, left = time.monotonic() - started, 0, 0
    for moment in np.random.default_rng(1).uniform(0.15, 0.6, kills):
        process = start(killed)
        try:
            process.wait(moment * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            hits += 1
            left += processes_of(folder)
    ended = start(killed).wait()
    return Killed("genas run", hits, ended == 0 and measured(whole) == measured(killed), left)


def kill_all(templates: Templates, every: int) -> list[Killed]:
    """Every stage that resumes, and a run."""
    folder = templates.folder / "runs"
    folder.mkdir()
    ways = [partial(kill_stage, stage, templates, max(1, KILLS // every)) for stage in ROWS]
    found = []
    for way in [*ways, partial(kill_run, folder, max(1, RUN_KILLS // every))]:
        found.append(way())
        print(f"  {found[-1]}", flush=True)
    return found

"""Each tutorial is run as it is written: its blocks of ``sh`` one after another, in a clone.

Blocks of ``bash`` need GPUs, a cluster or an account: of these, whether they are shell and their commands exist.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
import yaml

from genas.flows import environment
from genas.flows.cli import app
from genas.flows.estimate import duration
from genas.pipeline.config import REPOSITORY, load_params
from genas.pipeline.forecast.plan import forecast
from genas.pipeline.scaffold.shared import share
from genas.pipeline.stages.graph import graph
from tests.clones import commit, copied
from tests.test_chain import params

FOLDER = REPOSITORY / "docs" / "tutorials"
PAGES = [path for path in sorted(FOLDER.glob("*.md")) if path.name != "README.md"]
Done = subprocess.CompletedProcess[str]


def blocks(page: Path, *languages: str) -> str:
    """The blocks of some languages, one after another."""
    found = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", page.read_text())
    assert {language for language, _ in found} <= {"sh", "bash", "toml"}
    return "".join(text for language, text in found if language in languages)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project in a repository of its own, with the environment of this one."""
    root = copied(tmp_path / "clone")
    (root / ".venv").symlink_to(sys.prefix)
    commit(root)
    return root


def run(root: Path, script: str, **more: str) -> Done:
    """A script in a clone, its commands echoed; data lie in the clone's own data root."""
    own = {"PYTHONPATH": str(root), "PREFECT_HOME": str(root / ".genas"), "GENAS_MLFLOW": "off"}
    surroundings = environment.of_children(**own, **more)
    surroundings.pop("GENAS_DATA", None)
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=root, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def metrics(root: Path, row: str) -> dict[str, float]:
    """What a row of a profile has measured."""
    found: dict[str, float] = json.loads((root / "out" / row / "metrics.json").read_text())
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_shell_and_its_commands_exist(page: Path) -> None:
    """With their arguments and options."""
    script = blocks(page, "sh", "bash")
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    calls = re.findall(r"(?m)^(?:exec |(?:GENAS_\w+=\w+ )*)genas (.*?)(?: &)?$", script)
    calls += re.findall(r"`(?:GENAS_\w+=\w+ )*genas ([^`]*)`", page.read_text())
    assert calls
    for call in calls:
        command: click.Command = typer.main.get_command(app)
        context = click.Context(command)
        words = shlex.split(call, comments=True)
        while isinstance(command, click.Group):
            name, command, words = command.resolve_command(context, words)
            context = click.Context(command, parent=context, info_name=name)
        with command.make_context(context.info_name, [*words], parent=context.parent):
            pass


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_measure_of_ones_own(clone: Path) -> None:
    said = run(clone, blocks(FOLDER / "measure.md", "sh")).stdout
    assert said.count("mine: everything is up to date") == 1
    profile = clone / "profiles" / "mine"
    found = metrics(profile, "search/digits-probability-0")
    assert found["score"] == found["probability"]
    assert 0 < found["probability"] <= 1
    assert "digits-probability-0" in said


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_photographs_to_a_network_that_classifies_one(clone: Path) -> None:
    said = run(clone, blocks(FOLDER / "photographs.md", "sh")).stdout
    profile = clone / "profiles" / "shapes"
    assert "120 + 30 photographs of 3 classes" in said
    assert (profile / "out/report/report.html").exists()
    everything = {f"{stage}/{row}" for stage, row in graph(load_params(profile)) if stage != "data"}
    assert all((profile / "out" / row).exists() for row in everything)
    # A third by chance. What a search finds with a supernet of 60 photographs is not promised to be the best.
    assert metrics(profile, "retrain/published")["top1"] > 70
    assert metrics(profile, "retrain/angle_flatness")["top1"] > 50
    assert re.search(r"(?m)^(disc|square|triangle) [01]\.\d{3}$", said)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_transfer_to_sets_of_ones_own(clone: Path) -> None:
    said = run(clone, blocks(FOLDER / "transfer.md", "sh")).stdout
    profile = clone / "profiles" / "tasks"
    assert "20 images with boxes of 10 classes, 20 scenes with labels" in said
    assert metrics(profile, "detect/angle_flatness")["ap50"] >= 0
    assert 0 < metrics(profile, "segment/angle_flatness")["miou"] <= 100
    assert (profile / "out/report/report.html").exists()


SCONTROL = '#!/bin/bash\n[ "$1 $2" = "show hostnames" ] && echo 127.0.0.1\n'
SRUN = '#!/bin/bash\nexec "$@"\n'


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_jobs_of_slurm_are_shell_that_runs(clone: Path, tmp_path: Path) -> None:
    """On one machine with two processes, on CPUs; Slurm's own two commands stand in for a cluster's."""
    profile, bin = clone / "profiles" / "tiny", tmp_path / "bin"
    tiny = params() | {"code": "code", "profile": "tiny"}
    tiny["rows"]["found"]["cell"] = "zoo/darts_v2_c10"
    profile.mkdir()
    (profile / "params.yaml").write_text(yaml.safe_dump(tiny))
    share(profile)
    bin.mkdir()
    for name, text in (("scontrol", SCONTROL), ("srun", SRUN)):
        (bin / name).write_text(text)
        (bin / name).chmod(stat.S_IRWXU)
    run(clone, blocks(FOLDER / "cluster.md", "sh"))
    run(clone, "genas run zoo@darts_v2_c10 data@digits --profile tiny")
    job = {"SLURM_SUBMIT_DIR": str(clone), "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_GPUS_ON_NODE": "2"}
    job |= {"SLURM_JOB_NODELIST": "node1", "TMPDIR": str(tmp_path), "GENAS_DEVICE": "cpu"}
    run(clone, f'export PATH="{bin}:$PATH"; bash retrain.sbatch profiles/tiny found', **job)
    assert "retrain@found" in yaml.safe_load((profile / "dvc.lock").read_text())["stages"]
    assert (profile / "out/retrain/found/weights.safetensors").exists()
    assert "up to date" in run(clone, "genas run retrain@found --profile tiny").stdout
    (clone / ".dvc" / "config.local").touch()
    nobody = {**job, "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    said = run(clone, "bash worker.sbatch gpus 2>&1 || true", **nobody).stdout
    assert "error: no Prefect server answers at http://127.0.0.1:1/api" in said
    assert (tmp_path / "genas-7" / "flows").is_dir()


@pytest.mark.slow
def test_the_paper_s_commands_that_need_no_gpu(clone: Path) -> None:
    said = run(clone, blocks(FOLDER / "paper.md", "sh"), COLUMNS="200").stdout
    assert "retrain (127)" in said
    assert "46 (580208040 multiply-adds, 5195205 parameters)" in said


@pytest.mark.slow
def test_the_costs_of_the_paper_are_those_of_the_plan(tmp_path: Path) -> None:
    """Of published sizes, whatever data lie here, from nothing."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    keys = list(graph(load_params(tmp_path)))
    found = forecast(tmp_path, keys, machines=8, named="H100")
    stages: dict[str, list[float]] = {}
    for row in found["rows"]:
        stages.setdefault(row["stage"], []).append(row["seconds"])
    page = (FOLDER / "paper.md").read_text()
    table = {name: (int(count), cost) for name, count, cost in re.findall(r"(?m)^\| (.*?) \| (\d+) \| (.*?) \|$", page)}
    total = found["total"]
    expected = {
        f"`genas run {name}`": (len(costs), duration(sum(costs)))
        for name, costs in stages.items()
        if f"`genas run {name}`" in table
    }
    expected["everything"] = (len(keys), duration(total["seconds"]))
    expected["everything, on eight"] = (len(keys), duration(total["wall_seconds"]))
    assert table == expected
    assert {name for name in stages if f"`genas run {name}`" not in table} == {
        *("data", "measures", "laboratory_report", "laboratory301", "laboratory301_report", "report")
    }  # which take minutes at most

"""``genas plan`` on a repository of its own, and how its numbers are written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from genas.flows.estimate import amount, duration
from genas.pipeline.config import REPOSITORY, load_params
from genas.pipeline.stages import STAGES, rows_of
from tests.conftest import tiny_params
from tests.flows.calling import genas


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny profile in a repository of its own."""
    root = tmp_path_factory.mktemp("repository") / "tiny"
    root.mkdir()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    (root / "params.yaml").write_text(yaml.safe_dump({**tiny_params(), "code": str(REPOSITORY)}))
    return root


def test_a_plan_is_machine_readable_and_runs_scans_alone(profile: Path, small_data: Path) -> None:
    arguments = ("plan", "search", "--profile", str(profile), "--device", "H100", "--gpus", "2", "--json")
    said = genas(*arguments, GENAS_DATA=str(small_data))
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    rows = [(row["stage"], row["row"]) for row in found["rows"]]
    assert rows[0] == ("supernet", "small-0")
    assert {stage for stage, _ in rows} == {"supernet", "search"}
    assert found["machines"] == 2
    files = [path.relative_to(profile / "out") for path in (profile / "out").glob("[!.]*/**/*") if path.is_file()]
    assert {path.parts[0] for path in files} == {"data", "measures"}
    empty = {name for name in STAGES if not rows_of(load_params(profile), name)}
    assert {path.name for path in (profile / "out").glob("[!.]*")} == {"data", "measures", *empty}


def test_a_plan_is_readable_at_eighty_columns(profile: Path, small_data: Path) -> None:
    arguments = ("plan", "search@small-angle_flatness-0", "--profile", str(profile), "--device", "H100")
    said = genas(*arguments, GENAS_DATA=str(small_data), COLUMNS="80")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.strip().startswith("supernet@small-0") for line in lines)
    assert any(line.startswith("longest   supernet@small-0 > search@small-angle_flatness-0") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serch",), "error: unknown target 'serch', did you mean search"),
        (("--device", "H900"), "error: unknown device 'H900', expected one of H100, "),
        (("--device", "H100", "--calibrate"), "error: --calibrate measures this machine, --device names another"),
        (("zoo", "--compare", "--device", "H100"), "error: profile tiny: no row has run yet"),
    ],
)
def test_users_errors_are_one_line(profile: Path, small_data: Path, arguments: tuple[str, ...], message: str) -> None:
    said = genas("plan", *arguments, "--profile", str(profile), GENAS_DATA=str(small_data))
    assert said.returncode == 2
    assert said.stderr.splitlines()[-1].startswith(message)
    assert said.stderr.count("error: ") == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(None, "", "?"), (0, "B", "-"), (999, "", "999"), (999.9, "", "1k"), (1_281_167, "", "1.28M"), (2e9, "B", "2 GB")],
)
def test_amounts_have_three_digits(value: float | None, unit: str, text: str) -> None:
    assert amount(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (450, "7 min 30 s"),
        (3 * 3600 + 301, "3 h 05 min"),
        (9 * 86400 + 4 * 3600, "9 d 04 h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text

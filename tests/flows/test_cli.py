"""The command line: quick to start, clear when something is wrong, silent about what is fine."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from genas.flows import environment
from genas.pipeline.config import REPOSITORY
from tests.flows.calling import genas
from tests.flows.conftest import Toy, alive

HEAVY = ("torch", "prefect", "dvc", "mlflow", "pydantic", "networkx", "pandas")


def test_nothing_heavy_is_imported_before_a_command_needs_it() -> None:
    code = f"import sys, genas.flows.cli; print([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_help_names_every_command() -> None:
    said = genas("--help", COLUMNS="200").stdout
    for command in ("demo", "run", "results", "report", "export", "zoo", "width", "serve", "doctor", "data", "track"):
        assert command in said


def test_up_to_date_is_said_without_prefect(done: Toy, tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    url = f"sqlite+aiosqlite:///{database}"
    said = genas("run", "--profile", str(done.folder), PREFECT_SERVER_DATABASE_CONNECTION_URL=url)
    first, following = said.stdout.splitlines()
    assert (said.returncode, first) == (0, "toy: everything is up to date")
    assert following == f"next    genas results --profile {done.folder}; genas track ui; genas export ROW"
    assert not database.exists()
    assert set(done.runs()) == {"data@a", "data@b"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "serch"), "error: unknown target 'serch', did you mean search"),
        (("run", "search@a-nothing-0"), "error: unknown target 'search@a-nothing-0', did you mean search@a-"),
        (("export", "nothing"), "error: stage retrain has no row 'nothing', params.yaml defines "),
        (("serve", "--cron", "often"), "error: --cron 'often' is not a cron string"),
        (("data", "changed", "nothing"), "error: unknown data set 'nothing'"),
        (("data", "changed", "digits", "--port", "1"), "error: no Prefect server answers at http://127.0.0.1:1/api"),
    ],
)
def test_users_errors_are_one_line(done: Toy, arguments: tuple[str, ...], message: str) -> None:
    said = genas(*arguments, "--profile", str(done.folder))
    assert said.returncode == 2
    assert said.stderr.startswith(message)
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "error: No such command 'nothing'."),
        (("run", "--fast"), "error: No such option: --fast"),
        (("run", "--jobs", "0"), "error: Invalid value for '--jobs' / '-j': "),
        (("width",), "error: Missing argument 'cell'."),
        (
            ("init", "never-made"),
            "error: --images is missing; only demo, mini, laboratory, official can be written without",
        ),
        (("init", "a/b", "--images", "."), "error: 'a/b' is no name of a profile, expected letters, digits, - and _"),
        (("init", "demo", "--images", "."), "error: profile demo is there already ("),
        (
            ("init", "never-made", "--images", "/nowhere"),
            "error: /nowhere: no such folder, expected one with class",
        ),
        (("width", "darts_v2_c10", "--macs", "6e8", "--layers", "999999"), "error: Invalid value for '--layers': "),
    ],
)
def test_wrong_arguments_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    said = genas(*arguments)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(message)
    assert said.stderr.count("\n") == 1


def test_an_unknown_profile_is_one_line() -> None:
    said = genas("results", "--profile", "nope")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    known = "demo, mini, laboratory, official, paper"  # and those of one's own
    assert said.stderr.startswith(f"error: unknown profile 'nope', expected {known}")


def test_wrong_parameters_stop_a_run_before_it_starts(done: Toy) -> None:
    path = done.folder / "params.yaml"
    path.write_text(path.read_text().replace("population:", "populaton:"))
    said = genas("run", "--profile", str(done.folder))
    assert said.returncode == 2
    assert said.stderr.startswith(f"error: {path}: search.")
    assert said.stderr.count("\n") == 1
    assert not done.runs()


@pytest.mark.parametrize("command", [("serve", "--profile", "demo"), ("track", "ui")])
def test_a_port_in_use_is_one_line(command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = genas(*command, "--port", str(port))
    assert (said.returncode, said.stderr) == (2, f"error: port {port} is in use, choose another with --port\n")


def test_results_are_machine_readable(done: Toy) -> None:
    said = json.loads(genas("results", "--json", "--profile", str(done.folder)).stdout)
    value = json.loads(done.outputs()["out/report/metrics.json"])  # the only toy row that the demo has, too
    assert said == [{"stage": "report", "row": "", "metrics": value}]


def test_the_zoo_is_listed_with_exact_costs() -> None:
    rows = {row["id"]: row for row in json.loads(genas("zoo", "--json").stdout)}
    found = rows["genas_flatness_c100"]
    assert (found["width"], found["params"], found["macs"]) == (46, 5_195_205, 580_209_216)
    assert rows["spos_c100"]["params"] is None
    shown = genas("zoo").stdout
    assert ["darts_v2_c10", "48", "4.719", "4.7", "530.7", "570!", "73.30"] in map(str.split, shown.splitlines())
    assert "darts_v2_c10: the printed FLOPs are the DARTS paper's own 574 M" in shown


def test_a_width_is_found_for_a_budget(tmp_path: Path) -> None:
    said = genas("width", "genas_flatness_c100", "--macs", "6e8")
    assert said.stdout == "46 (580208040 multiply-adds, 5195205 parameters)\n"
    none = genas("width", "spos_c10", "--macs", "6e8")
    assert none.returncode == 2
    assert none.stderr.startswith("error: zoo row spos_c10: its genotype was not published")
    lost = genas("width", str(tmp_path / "genotype.json"), "--params", "1e6")
    assert "no such genotype file" in lost.stderr


def test_what_nobody_expected_is_one_line_with_a_log(done: Toy, tmp_path: Path) -> None:
    code = "import sys, genas.flows.cli as cli; cli.checked = lambda profile: 1 / 0; sys.exit(cli.main())"
    for folder, logs in ((done.folder, done.folder / ".scratch/logs"), (tmp_path, tmp_path)):
        surroundings = environment.of_children(TMPDIR=str(tmp_path), PYTHONPATH=str(REPOSITORY))
        command = [sys.executable, "-c", code, "results"]
        said = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
        (log,) = logs.glob("genas*.error.log")
        line = f"error: unexpected ZeroDivisionError: division by zero (whole traceback: {log})\n"
        assert (said.returncode, said.stderr) == (1, line)
        assert "Traceback" in log.read_text()


def test_a_second_run_says_who_is_working(done: Toy) -> None:
    """Or waits, and says that too; what a dead run has left in the file is in nobody's way."""
    path = done.folder / ".scratch" / "run.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        content = {"pid": 123, "since": "2026-01-02T12:34:56", "command": "genas run", "stages": ["search@a-angle-0"]}
        held.write(json.dumps(content))
        held.flush()
        said = genas("run", "--profile", str(done.folder))
        working = "another run (PID 123, since 2026-01-02 12:34, stage search@a-angle-0) is working"
        assert (said.returncode, said.stdout) == (2, "")
        assert said.stderr == f"error: {working}, wait for it with --wait\n"
        assert not done.runs()
        command = [sys.executable, "-m", "genas.flows.cli", "run", "--wait", "--profile", str(done.folder)]
        surroundings = environment.of_children()
        waiting = subprocess.Popen(command, cwd=REPOSITORY, env=surroundings, stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == f"{working}, waiting for it\n"
    waiting.communicate(timeout=120)
    assert waiting.returncode == 0
    assert json.loads(path.read_text())["pid"] == waiting.pid


@pytest.mark.slow
def test_a_stage_that_fails_is_one_line(done: Toy, tmp_path: Path) -> None:
    """And when it is mended, the same command goes on; the server that it starts does not outlive it."""
    (done.folder / "raw" / "a.txt").write_text("more")
    done.fault("supernet@a-0", "mistake")
    url = f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    said = genas("run", "search@a-angle-0", "--profile", str(done.folder), PREFECT_SERVER_DATABASE_CONNECTION_URL=url)
    assert said.returncode == 2
    assert said.stderr.splitlines()[-1] == (
        "error: supernet@a-0: params.yaml: sigma must increase; not run because of it: search@a-angle-0"
    )
    assert "Traceback" not in said.stderr
    (done.folder / "faults" / "supernet@a-0").unlink()
    said = genas("run", "search@a-angle-0", "--profile", str(done.folder), PREFECT_SERVER_DATABASE_CONNECTION_URL=url)
    assert (said.returncode, said.stdout.splitlines()[0]) == (0, "toy: 2 done")
    assert not alive(tmp_path)

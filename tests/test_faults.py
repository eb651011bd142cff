"""The fault laboratory can fail: it sees tracebacks, lost files, processes that are left; and a sample of it is run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genas.pipeline.config import REPOSITORY
from tests.faults import judging, running
from tests.faults.judging import SECRET, Case, Place, contents, judge


def refuse(*lines: str) -> int:
    """What a program says of a mistake, and its exit status."""
    print(*lines, sep="\n", file=sys.stderr)
    return 2


def right() -> int:
    return refuse("error: params.yaml: wrong")


def crash() -> int:
    raise ValueError("injected")


def lose() -> int:
    Path("out/kept.txt").write_text("other")
    return right()


def forget() -> int:
    Path("out/kept.txt").unlink()
    return right()


def half_write() -> int:
    Path("out/more.txt").write_text("half")
    return right()


def obey() -> int:
    Path("../ran").mkdir()
    return right()


def leave() -> int:
    subprocess.Popen(["sleep", "5"], start_new_session=True)
    return right()


def hang() -> int:
    time.sleep(60)
    return right()


def be_killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Callable[[], int], line: str | None) -> list[str]:
    """What kinds of faults the judge sees in a program."""
    place = Place(tmp_path / "place")
    (place.root / "out").mkdir(parents=True)
    (place.root / "out" / "kept.txt").write_text("kept")
    monkeypatch.setitem(running.PROGRAMS, "genas", program)
    monkeypatch.setattr(running, "LONGEST", 1.0)
    monkeypatch.setattr(judging, "GRACE", 0.3)
    case = Case("", "", "genas", line)
    call, before = place.call(case.call, {}), contents(place.folder)
    return sorted({fault.kind for fault in judge(case, place, before, running.run(call, tmp_path))})


@pytest.mark.parametrize(
    ("program", "kinds"),
    [
        (right, []),
        (crash, ["line", "traceback"]),
        (lambda: 0, ["line"]),
        (lambda: refuse("error: another key"), ["line"]),
        (lambda: refuse("warning: something", "error: params.yaml: wrong"), ["line"]),
        (lambda: refuse("error: unexpected ValueError: params.yaml: wrong (whole traceback: x)"), ["line"]),
        (lambda: refuse("search@a: running", "error: params.yaml: wrong"), []),
        (lambda: refuse(f"error: params.yaml: wrong {SECRET}"), ["lost"]),
        (lose, ["lost"]),
        (forget, ["lost"]),
        (half_write, ["lost"]),
        (obey, ["lost"]),
        (leave, ["left"]),
        (hang, ["line"]),
        (be_killed, ["line"]),
    ],
)
def test_the_judge_sees_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Callable[[], int], kinds: list[str]
) -> None:
    assert found(tmp_path, monkeypatch, program, r"params\.yaml: wrong") == kinds


@pytest.mark.parametrize(("program", "kinds"), [(lambda: 0, []), (right, ["line"]), (crash, ["line", "traceback"])])
def test_what_is_right_must_be_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Callable[[], int], kinds: list[str]
) -> None:
    assert found(tmp_path, monkeypatch, program, None) == kinds


def test_the_laboratory_has_cases_of_every_family() -> None:
    from tests.faults import laboratory  # heavy: it imports the tests whose tables it takes

    for family, cases in laboratory.FAMILIES.items():
        assert len(cases) > 4, family


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sample_of_the_laboratory_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults", "--every", "20", "--page", str(tmp_path / "page.md")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "| all |" in (tmp_path / "page.md").read_text()

"""What a stage's output tells about its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from genas.flows import stage
from genas.flows.processes.children import Children, StageError
from genas.models.errors import GenasError

ROW = "zoo@darts_v2_c10"


def end(monkeypatch: pytest.MonkeyPatch, folder: Path, lines: Sequence[str], status: int) -> str:
    """How a row ends whose DVC says ``lines`` and exits with ``status``."""
    code = f"import sys; print({chr(10).join(lines)!r}); sys.exit({status})"
    monkeypatch.setattr(stage, "DVC", (sys.executable, "-c", code))
    return stage.reproduce_stage(ROW, folder, Children(), lambda line: None)


def failed(status: int) -> str:
    return f"ERROR: failed to reproduce '{ROW}': failed to run: python -m genas.pipeline zoo, exited with {status}"


def test_a_users_error_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(GenasError, match=rf"^{ROW}: sigma must increase$"):
        end(monkeypatch, tmp_path, ["error: sigma must increase", failed(2)], 1)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("unexpected ZeroDivisionError: by zero", 1),
        ("no space left on the disk of here", 1),
        ("process 1 was ended by SIGKILL", 137),
    ],
)
def test_another_error_is_the_reason_and_may_be_retried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, status: int
) -> None:
    log = tmp_path / ".scratch" / "logs" / f"{ROW}.log"
    with pytest.raises(StageError) as caught:
        end(monkeypatch, tmp_path, [f"error: {said}", "a library's last word", failed(status)], 1)
    assert str(caught.value) == f"{ROW}: {said} (log: {log})"


def test_a_held_lock_of_dvc_is_told_without_its_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dvc.lock import LockError
    from dvc.rwlock import _check_blockers

    held = {"write": {"out": {"pid": os.getpid(), "cmd": "dvc repro"}}}
    with pytest.raises(LockError) as dvc:
        _check_blockers("/r/.dvc/tmp", held, {"pid": 1, "cmd": ""}, mode="write", waiters=["out"])
    assert "manually remove" in str(dvc.value)
    with pytest.raises(StageError) as caught:
        end(monkeypatch, tmp_path, f"ERROR: {dvc.value}".splitlines(), 1)
    assert f"another DVC process (PID {os.getpid()}: dvc repro) is working on it (log: " in str(caught.value)
    assert "remove" not in str(caught.value)

"""A look says that a scan has nothing to record exactly where it would record what is there, and writes nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from genas.flows.looking import settled
from genas.pipeline.data import stage as data
from genas.pipeline.scoring import code
from tests.conftest import Tiny, write_small
from tests.pipeline.data import good

SETS: dict[str, Callable[[Path], None]] = {
    layout: getattr(good, layout) for layout in ("parquet", "folder", "webdataset", "coco", "camvid", "shift")
}
MEASURES = "python -m genas.pipeline measures"


def scan(name: str) -> str:
    """The command of a data set's scan."""
    return f"python -m genas.pipeline data dataset={name}"


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below a folder, with what changes when it is written or replaced."""
    stats = {str(path): path.lstat() for path in folder.rglob("*")}
    return {path: (stat.st_ino, stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


@pytest.mark.parametrize("layout", SETS)
def test_every_layout_is_settled_once_scanned_until_a_file_changes(
    layout: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENAS_DATA", str(tmp_path))
    SETS[layout](tmp_path / "mine")
    tiny.change("data", mine={"layout": layout, "digest": "content", "path": "mine"})
    assert not settled(tiny.root, scan("mine")), "never scanned"
    data.run(tiny.context("data", dataset="mine"))
    before = state(tmp_path)
    assert settled(tiny.root, scan("mine"))
    assert state(tmp_path) == before
    changed = next(path for path in sorted((tmp_path / "mine").rglob("*")) if path.is_file())
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert not settled(tiny.root, scan("mine"))


def test_derived_sets_follow_what_they_are_made_from(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENAS_DATA", str(tmp_path / "root"))
    write_small(tmp_path / "root" / "small")
    data.run(tiny.context("data", dataset="small_shift"))
    assert settled(tiny.root, scan("small_shift"))
    tiny.change("data", small_shift__seed=1)
    assert not settled(tiny.root, scan("small_shift"))
    tiny.change("data", small_shift__seed=0)
    assert settled(tiny.root, scan("small_shift"))
    (tmp_path / "root" / "small" / "classes.txt").write_text("nil\none\ntwo\n")
    assert not settled(tiny.root, scan("small_shift"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("digest", "0"), ("splits", {"train": 1}), ("classes", ["zero"]), ("split_file", "0"), ("another", 0)],
)
def test_a_manifest_that_the_scan_would_not_leave_is_not_settled(tiny: Tiny, key: str, value: object) -> None:
    assert settled(tiny.root, scan("small"))
    path = tiny.root / "out" / "data" / "small" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert not settled(tiny.root, scan("small"))


def test_measures_are_settled_until_a_row_takes_others(tiny: Tiny) -> None:
    assert not settled(tiny.root, MEASURES)
    code.run(tiny.context("measures"))
    before = state(tiny.root)
    assert settled(tiny.root, MEASURES)
    assert state(tiny.root) == before
    tiny.change("metrics", angle__terms={"angle": 2})
    assert not settled(tiny.root, MEASURES)


def test_folders_that_the_report_reads_must_be_there(tiny: Tiny) -> None:
    tiny.change("matrix", rerank={"search": [], "gamma": []})
    code.run(tiny.context("measures"))
    assert settled(tiny.root, MEASURES)
    shutil.rmtree(tiny.root / "out" / "rerank")
    assert not settled(tiny.root, MEASURES)


@pytest.mark.parametrize(
    "command",
    ["python stage.py data@a", "python -m genas.pipeline zoo row=darts_v2_c10",
     "python -m genas.pipeline data dataset=none", "python -m genas.pipeline data",
     "python -m genas.pipeline nothing", ""],
)  # fmt: skip
def test_what_a_look_does_not_know_is_left_to_dvc(tiny: Tiny, command: str) -> None:
    assert not settled(tiny.root, command)


def test_wrong_parameters_and_missing_data_are_left_to_the_scan_to_tell(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "GENAS_DATA", str(tiny.root / "nowhere"))
    assert not settled(tiny.root, scan("small"))
    (tiny.root / "params.yaml").write_text("profile: tiny\n")
    assert not settled(tiny.root, scan("small"))

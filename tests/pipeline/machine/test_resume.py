"""The scratch folder: found again exactly when everything that the work depends on is the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genas.pipeline.machine import resume as scratch
from genas.pipeline.machine.resume import Scratch, digest
from tests.bomb import Bomb
from tests.conftest import Tiny, tiny_params

ROW = {"dataset": "small", "seed": "0"}


def place(tiny: Tiny, inputs: Any = (), stage: str = "supernet", processes: int = 1, **axes: str) -> Scratch:
    return Scratch(tiny.context(stage, **(axes or ROW)), inputs, processes=processes)


def test_what_was_saved_is_loaded(tiny: Tiny) -> None:
    one = place(tiny)
    assert one.load("state.pt") is None
    state = {"epoch": 3, "weights": {"a": torch.arange(4.0)}, "history": [{"loss": 0.5}]}
    one.save("state.pt", state)
    again = place(tiny).load("state.pt")
    assert again["epoch"] == 3
    assert torch.equal(again["weights"]["a"], torch.arange(4.0))
    assert again["history"] == [{"loss": 0.5}]


def test_saving_replaces_and_leaves_no_part(tiny: Tiny) -> None:
    one = place(tiny)
    for epoch in range(3):
        one.save("state.pt", {"epoch": epoch})
    assert one.load("state.pt") == {"epoch": 2}
    assert sorted(path.name for path in one.folder.iterdir()) == ["seconds", "state.pt", "state.pt.before"]


def test_a_save_that_fails_leaves_the_former_state(tiny: Tiny) -> None:
    one = place(tiny)
    one.save("state.pt", {"epoch": 1})
    with pytest.raises(TypeError, match="cannot pickle"):
        one.save("state.pt", {"epoch": 2, "what": (i for i in ())})
    assert one.load("state.pt") == {"epoch": 1}


def test_the_time_before_a_kill_counts(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(scratch.time, "monotonic", lambda: now[0])
    place(tiny).save("state.pt", {})
    for begun, kept, earlier in ((200.0, 230.0, 0.0), (300.0, 305.0, 30.0), (400.0, 400.0, 35.0)):
        now[0] = begun
        context = tiny.context("supernet", **ROW)
        one = Scratch(context, processes=1)
        assert context.notes.get("earlier", 0.0) == earlier
        now[0] = kept
        one.append("lines", {"a": 1})
    (one.folder / "seconds").write_text("torn")
    context = tiny.context("supernet", **ROW)
    Scratch(context, processes=1)
    assert context.notes == {}


def flip(path: Path, place: int) -> None:
    """Turn a bit of a file's byte number ``place``."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def truncate(path: Path, size: int) -> None:
    """Keep the first ``size`` bytes."""
    path.write_bytes(path.read_bytes()[:size])


def states_of(tiny: Tiny) -> Scratch:
    """A scratch folder after two epochs."""
    scratch = place(tiny)
    for epoch in (1, 2):
        scratch.save("state.pt", {"epoch": epoch, "weights": torch.full((100,), float(epoch))})
    return scratch


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("at", [0, 500, -1])
def test_a_damaged_state_is_set_aside_and_the_one_before_is_taken(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], damage: Callable[[Path, int], None], at: int
) -> None:
    """Damaged in its first byte, in the middle, in the checksum; or empty, cut in the middle, cut by a byte."""
    states = states_of(tiny)
    path = states.folder / "state.pt"
    damage(path, at)
    assert states.load("state.pt")["epoch"] == 1
    said = capsys.readouterr().err
    assert said == f"warning: {path}.damaged: damaged and set aside, going on from what was before it\n"
    assert sorted(file.name for file in states.folder.iterdir()) == ["seconds", "state.pt.before", "state.pt.damaged"]
    states.save("state.pt", {"epoch": 2})
    assert states.load("state.pt") == {"epoch": 2}
    assert not capsys.readouterr().err


def test_without_a_sound_state_the_work_begins_again(tiny: Tiny) -> None:
    states = states_of(tiny)
    flip(states.folder / "state.pt", 300)
    truncate(states.folder / "state.pt.before", 300)
    assert states.load("state.pt") is None


def test_a_kill_between_the_two_states_loses_nothing(tiny: Tiny) -> None:
    states = states_of(tiny)
    (states.folder / "state.pt").replace(states.folder / "state.pt.before")
    assert states.load("state.pt")["epoch"] == 2


def test_a_full_disk_leaves_the_former_state_alone(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    states = states_of(tiny)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        states.save("state.pt", {"epoch": 3})
    assert states.load("state.pt")["epoch"] == 2
    assert sorted(file.name for file in states.folder.iterdir()) == ["seconds", "state.pt", "state.pt.before"]


@pytest.mark.parametrize("line", range(4))
def test_the_records_before_a_damaged_line_are_kept(tiny: Tiny, capsys: pytest.CaptureFixture[str], line: int) -> None:
    """A digit of a value flipped, or the end of a line, which joins it to the next."""
    scratch = place(tiny)
    for value in range(4):
        scratch.append("lines", {"a": value})
    path = scratch.folder / "lines"
    length = path.stat().st_size // 4
    for byte in (length - 3, length - 1) if line < 3 else (length - 3,):
        flip(path, length * line + byte)
        kept = [{"a": value} for value in range(line)]
        assert scratch.records("lines") == kept
        assert capsys.readouterr().err.count("\n") == 1
        assert (scratch.folder / "lines.damaged").exists()
        assert scratch.records("lines") == kept
        assert not capsys.readouterr().err
        for value in range(line, 4):
            scratch.append("lines", {"a": value})
        assert scratch.records("lines") == [{"a": value} for value in range(4)]


def test_closing_removes_the_folder(tiny: Tiny) -> None:
    one = place(tiny)
    one.save("state.pt", {})
    one.close()
    assert not one.folder.exists()
    assert place(tiny).load("state.pt") is None


def test_nothing_but_tensors_and_plain_containers_is_unpickled(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    one = place(tiny)
    one.save("state.pt", {"epoch": 1})
    one.save("state.pt", {"path": Bomb(tiny.root / "ran")})
    assert one.load("state.pt") == {"epoch": 1}
    assert not (tiny.root / "ran").exists()
    assert "state.pt.damaged: damaged and set aside" in capsys.readouterr().err


def test_everything_that_the_work_depends_on_is_in_the_fingerprint(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "input.txt"
    source.write_text("a")
    prints = [place(tiny, [source]).fingerprint]
    assert place(tiny, [source]).fingerprint == prints[0]
    prints.append(place(tiny, [source], processes=2).fingerprint)
    prints.append(place(tiny, [source], dataset="small", seed="1").fingerprint)
    prints.append(place(tiny, [source], "search", dataset="small", metric="angle", seed="0").fingerprint)
    source.write_text("b")
    prints.append(place(tiny, [source]).fingerprint)
    tiny.change("supernet", small__momentum=0.5)
    prints.append(place(tiny, [source]).fingerprint)
    monkeypatch.setattr(scratch, "code_digest", lambda stage, measures: "other code")
    prints.append(place(tiny, [source]).fingerprint)
    assert len(set(prints)) == len(prints)


def test_parameters_of_other_stages_are_not_in_the_fingerprint(tiny: Tiny) -> None:
    first = place(tiny).fingerprint
    tiny.change("search", small__generations=9)
    tiny.change("detect", seed=5)
    assert place(tiny).fingerprint == first
    tiny.change("measures", images=16)  # how a supernet is validated
    assert place(tiny).fingerprint != first


def test_stale_folders_of_the_same_row_go_and_others_stay(tiny: Tiny) -> None:
    """Also of a row whose name begins alike: supernet small-0 and supernet small-0-1."""
    tiny.change("matrix", supernet__dataset=["small", "small-0"])
    tiny.change("data", **{"small-0": {"layout": "parquet", "digest": "content", "path": "small", "pixels": 16}})
    tiny.change("supernet", **{"small-0": tiny_params()["supernet"]["small"]})
    stale = place(tiny)
    other = place(tiny, dataset="small", seed="1")
    longer = place(tiny, dataset="small-0", seed="1")
    for folder in (stale, other, longer):
        folder.save("state.pt", {})
    fresh = place(tiny, processes=2)
    assert not stale.folder.exists()
    assert all(place.folder.exists() for place in (other, longer, fresh))


def test_a_digest_covers_names_and_bytes_and_not_times(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    file = folder / "inner" / "a.txt"
    file.write_text("content")
    first = digest([folder])
    file.touch()
    assert digest([folder]) == first
    file.write_text("contenT")
    assert digest([folder]) != first
    file.write_text("content")
    assert digest([folder]) == first
    file.rename(folder / "inner" / "b.txt")
    assert digest([folder]) != first
    assert len({digest([]), digest([folder]), digest([folder, folder])}) == 3

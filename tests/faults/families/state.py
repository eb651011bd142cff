"""Half-done work that a disk, a kill or a stranger has changed: the stage goes on, or anew, to the same bytes."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import torch

from tests.bomb import Bomb
from tests.faults.families.tables import below, each, write
from tests.faults.judging import NOTHING, Case, Place, Spoil
from tests.faults.templates import LINES, SUPERNET
from tests.pipeline.machine.test_resume import flip, truncate

STATE, BEFORE, SCORES = ".scratch/supernet-*/state.pt", ".scratch/supernet-*/state.pt.before", ".scratch/*/scores.jsonl"
SET_ASIDE = r"^warning: .*damaged: damaged and set aside, going on from what was before it$"


def damaged(pattern: str, how: str, at: int) -> Spoil:
    """A bit of byte ``at`` turned, or the file cut there; a share of the file's size where ``at`` is a percentage."""

    def spoil(place: Place) -> None:
        path = below(place, pattern)
        size = path.stat().st_size
        {"flip": flip, "cut": truncate}[how](path, min(size * at // 100, size - 1))

    return spoil


def replaced(pattern: str, content: bytes) -> Spoil:
    return lambda place: below(place, pattern).write_bytes(content)


def sealed(content: object) -> Spoil:
    """A state that is as it should be from outside, by somebody who can make checksums."""

    def spoil(place: Place) -> None:
        stream = io.BytesIO()
        torch.save({"path": Bomb(place.ran)} if content == "bomb" else content, stream)
        whole = stream.getvalue()
        below(place, STATE).write_bytes(whole + hashlib.sha256(whole).hexdigest().encode())

    return spoil


def torn(place: Place) -> None:
    with below(place, SCORES).open("a") as stream:
        stream.write("0" * 64 + ' {"loss": 1')


def other_folder(place: Place) -> None:
    """The state of a row with other parameters."""
    folder = below(place, STATE).parent
    folder.rename(folder.with_name(f"{folder.name[:-16]}{'0' * 16}"))


def leftovers(place: Place) -> None:
    """What a kill may leave beside the states."""
    path = below(place, STATE)
    Path(f"{path}.part").write_bytes(b"half")
    Path(f"{path}.damaged").write_bytes(b"former")


def cases() -> list[Case]:
    found = []

    def add(name: str, spoil: Spoil, warning: str = SET_ASIDE, call: str = SUPERNET, template: str = "half") -> None:
        stage, row = call.split()[1], "-".join(axis.partition("=")[2] for axis in call.split()[2:])
        found.append(Case(name, template, call, None, spoil, warning=warning, same=f"out/{stage}/{row}"))

    for how in ("flip", "cut"):
        for at in (0, 10, 50, 90, 100):
            add(f"state: {how} at {at} %", damaged(STATE, how, at))
    both = each(damaged(STATE, "flip", 30), damaged(BEFORE, "cut", 30))
    add("both states", both, "")
    add("only the state before", lambda place: below(place, STATE).unlink(), NOTHING)
    add("the state before alone, damaged", damaged(BEFORE, "flip", 50), NOTHING)
    add("state: empty", replaced(STATE, b""))
    add("state: text", replaced(STATE, b"no state"))
    add("state: a stranger's, that runs something", sealed("bomb"))
    add("state of other parameters", other_folder, NOTHING)
    add("what a kill leaves", leftovers, NOTHING)
    add("as it was left", lambda place: None, NOTHING)
    lines = {"call": LINES, "template": "lines"}
    for how, at in (("flip", 0), ("flip", 50), ("flip", 100), ("cut", 50)):
        add(
            f"lines: {how} at {at} %", damaged(SCORES, how, at), "" if how == "cut" or at == 100 else SET_ASIDE, **lines
        )
    add("lines: a torn one", torn, NOTHING, **lines)
    add("lines: empty", replaced(SCORES, b""), NOTHING, **lines)
    add("lines: binary", replaced(SCORES, bytes(range(256)) * 4), SET_ASIDE, **lines)
    return found


def in_the_way() -> list[Case]:
    """Files where folders belong."""

    def file(place: Place) -> None:
        shutil.rmtree(place.root / ".scratch", ignore_errors=True)
        (place.root / ".scratch").write_text("in the way")

    supernet = "pipeline supernet dataset=small seed=0"
    return [
        Case(".scratch is a file", "plain", supernet, r"\.scratch", file),
        Case("out/supernet is a file", "plain", supernet, r"out/supernet", write("out/supernet", "in the way")),
        Case(".scratch is a file, genas run", "plain", "genas run zoo --profile {root}", r"\.scratch", file),
    ]


CASES = {"half-done work (.scratch)": [*cases(), *in_the_way()]}

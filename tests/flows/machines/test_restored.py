"""What comes back from DVC's cache is what the lock says, or made again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genas.flows.machines.restored import drop_damaged
from genas.flows.processes.children import Children
from genas.flows.stage import reproduce_stage
from tests.flows.conftest import Toy

STAGE, OUTPUT = "supernet@a-0", "out/supernet/a-0/metrics.json"


def reproduced(toy: Toy) -> str:
    return reproduce_stage(STAGE, toy.folder, Children(), lambda line: None)


@pytest.mark.parametrize(
    ("change", "word", "runs"),
    [
        (lambda content: content, "restored", 0),
        (lambda content: bytes([content[0] ^ 1]) + content[1:], "done", 1),
        (lambda content: b"", "done", 1),
        (lambda content: None, "done", 1),
    ],
    ids=["sound", "a bit", "empty", "missing"],
)
def test_a_damaged_object_is_made_again(
    done: Toy, change: Callable[[bytes], bytes | None], word: str, runs: int
) -> None:
    before = done.outputs()
    done.damage(OUTPUT, change((done.folder / OUTPUT).read_bytes()))
    assert reproduced(done) == word
    assert done.outputs() == before
    assert len(done.runs(STAGE)) == runs
    assert drop_damaged(done.folder, STAGE) == []


def test_folders_are_looked_into(done: Toy) -> None:
    stage, output = "data@a", "out/data/a"
    assert drop_damaged(done.folder, stage) == []
    kept = done.cached(f"{output}/manifest.json")
    (done.folder / output / "manifest.json").unlink()
    (done.folder / output / "manifest.json").write_text("other")
    assert drop_damaged(done.folder, stage) == [output]
    assert not kept.exists()
    assert not (done.folder / output).exists()

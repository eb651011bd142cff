"""Which code a stage depends on (what DVC lists of it is compared in ``tests/test_dependencies.py``)."""

from __future__ import annotations

from genas.pipeline.machine.imports import code_digest


def test_the_code_digest_is_that_of_what_the_stage_runs() -> None:
    assert len(code_digest("supernet")) == 64
    assert len({code_digest(stage) for stage in ("data", "supernet", "search", "zoo")}) == 4

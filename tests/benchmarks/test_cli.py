"""What a benchmark prints."""

from __future__ import annotations

import json

import pytest

from genas.benchmarks.cli import show
from genas.pipeline.machine.processor import instruction_set


def test_every_benchmark_names_the_instruction_set(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"ratio": {"min": 1.0, "median": 2.5, "max": 3.0}, "batch_size": 64}
    show(dict(result), as_json=True)
    assert json.loads(capsys.readouterr().out) == {**result, "instruction_set": instruction_set()}
    show(dict(result), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "2.50 times as fast (minimum 1.00, maximum 3.00)",
        "  batch size: 64",
        f"  instruction set: {instruction_set()}",
    ]

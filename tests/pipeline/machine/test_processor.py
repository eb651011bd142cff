"""Which instruction set is named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.config import REPOSITORY

CODE = "from pipeline.machine.processor import instruction_set; print(instruction_set())"


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"ATEN_CPU_CAPABILITY": "default"}, "DEFAULT"),
        ({"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2"}, "DEFAULT, oneDNN up to AVX2"),
    ],
)
def test_the_instruction_set_is_the_one_that_computes(limits: dict[str, str], named: str) -> None:
    free = {
        name: value for name, value in os.environ.items() if name not in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")
    }
    command = [sys.executable, "-c", CODE]
    said = subprocess.run(command, cwd=REPOSITORY, env={**free, **limits}, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == named

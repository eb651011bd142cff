"""Which instruction set is named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from genas.pipeline.config import REPOSITORY

CODE = "from genas.pipeline.machine.processor import instruction_set; print(instruction_set())"


@pytest.mark.slow
def test_the_instruction_set_is_the_one_that_computes() -> None:
    """Not the processor's: torch reads its limit once, so it takes a process of its own."""
    limits = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", CODE]
    environment = {**os.environ, **limits}
    said = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "DEFAULT, oneDNN up to AVX2"

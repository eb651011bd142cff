"""The processor, as what is computed on it depends on it."""

from __future__ import annotations

import os


def instruction_set() -> str:
    """The instruction set of torch's own kernels, and oneDNN's limit where one is set: ``AVX512, oneDNN up to AVX2``.

    ``ATEN_CPU_CAPABILITY`` and ``ONEDNN_MAX_CPU_ISA`` choose them.
    """
    import torch

    kernels, limit = torch.backends.cpu.get_cpu_capability(), os.environ.get("ONEDNN_MAX_CPU_ISA")
    return f"{kernels}, oneDNN up to {limit}" if limit else kernels

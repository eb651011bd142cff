"""Keeping the memory that a process has once asked for.

Maps of a few megabytes come and go thousands of times a second. By default the C library hands each back to the system,
which clears it page by page when it is asked for again.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt`` (malloc.h)."""
LARGEST = 32 * 2**20
"""The most that glibc lets ``M_MMAP_THRESHOLD`` be on 64 bits."""


def keep_memory() -> None:
    """Let the C library keep freed memory; where it is not glibc, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

"""How long something takes here that is done over and over."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

SECONDS = 4.0
"""For which a kind of step is repeated."""
LEAST = 2
"""Times it is done at least, besides the first."""


def affordable() -> float:
    """Floating-point operations that a step of a trial may have: those of about a minute of a CPU's core, and of less
    than a second of a GPU that a card for training is."""
    return 2e14 if torch.cuda.is_available() else 2e12


def now() -> float:
    """Seconds, when all that a GPU was told to do is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def repeated(act: Callable[[int], object], images: int) -> float:
    """Seconds an image of ``act``, which is told how often it was called before and sees ``images`` each time.

    The first call does not count: it compiles, allocates and fills caches.
    """
    act(0)
    started, count = now(), 0
    while count < LEAST or now() - started < SECONDS:
        count += 1
        act(count)
    return (now() - started) / (count * images)

"""What trials have in common: how long something takes here that is done over and over, and pictures to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SECONDS = 2.0
"""For which a kind of step is repeated."""
LEAST = 2
"""Times it is done at least, besides the first."""
PHOTOGRAPH = (500, 375)
"""Width and height of the pictures that stand for a data set of files: ImageNet's median."""
GRAIN = 14
"""Its standard deviation, of 255."""


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


def photographs(folder: Path, count: int) -> list[tuple[Path, int]]:
    """Coloured clouds with some grain as JPEG files of some 110 kB, as photographs of ImageNet are, in two classes."""
    rng, listing = np.random.default_rng(0), []
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        clouds = np.asarray(small.resize(PHOTOGRAPH, Image.Resampling.BICUBIC), dtype=np.float64)
        grainy = (clouds + rng.normal(0, GRAIN, clouds.shape)).clip(0, 255).astype(np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(grainy).save(path, quality=90)
        listing.append((path, number % 2))
    return listing

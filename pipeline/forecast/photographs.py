"""Pictures that stand for those of a data set of files, of which only the number is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (500, 375)
"""Width and height: ImageNet's median."""
GRAIN = 14
"""Its standard deviation, of 255."""


def photographs(folder: Path, count: int) -> list[tuple[Path, int]]:
    """Coloured clouds with some grain as JPEG files of some 110 kB, as photographs of ImageNet are, in two classes."""
    rng, listing = np.random.default_rng(0), []
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        clouds = np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float64)
        grainy = (clouds + rng.normal(0, GRAIN, clouds.shape)).clip(0, 255).astype(np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(grainy).save(path, quality=90)
        listing.append((path, number % 2))
    return listing

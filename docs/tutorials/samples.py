"""Sample data for the tutorials, where none of your own is at hand: ``python docs/tutorials/samples.py FOLDER``.

Writes ``photographs`` (class folders: discs, squares and triangles before noisy backgrounds), ``boxes`` (COCO's layout)
and ``scenes`` (Cityscapes' layout), the latter two composed of scikit-learn's handwritten digits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from genas.pipeline.config import DataParams
from genas.pipeline.data import digits

SHAPES = ("disc", "square", "triangle")
COUNT = 50
"""Photographs of a class."""
SIZE = (96, 80)


def photograph(shape: str, rng: np.random.Generator) -> Image.Image:
    """One shape of some colour, somewhere before noise."""
    dark = rng.integers(0, 90, 3)
    image = Image.fromarray(np.clip(dark + rng.normal(0, 20, (SIZE[1], SIZE[0], 3)), 0, 255).astype(np.uint8))
    half = int(rng.integers(18, 28))
    x, y = (int(rng.integers(half, side - half)) for side in SIZE)
    draw, colour = ImageDraw.Draw(image), tuple(int(v) for v in rng.integers(130, 256, 3))
    if shape == "disc":
        draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)
    elif shape == "square":
        draw.rectangle((x - half, y - half, x + half, y + half), fill=colour)
    else:
        draw.polygon([(x, y - half), (x - half, y + half), (x + half, y + half)], fill=colour)
    return image


def main(root: Path) -> None:
    """Write all three sets."""
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        folder = root / "photographs" / shape
        folder.mkdir(parents=True)
        for number in range(COUNT):
            photograph(shape, rng).save(folder / f"{number:02d}.jpg", quality=95)
    for name, layout, write in (
        ("boxes", "coco", digits.write_coco),
        ("scenes", "cityscapes", digits.write_cityscapes),
    ):
        spec = {"layout": layout, "digest": "content", "derive": "digits", "seed": 0, "images": 24}
        (root / name).mkdir()
        write(root / name, DataParams.model_validate(spec))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

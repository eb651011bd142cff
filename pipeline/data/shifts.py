"""Stand-ins for the shifted ImageNet test sets, made from held-out images of any data set.

* ``imagenetv2-matched-frequency``: a mild change of the recording (:data:`MILD`).
* ``imagenet-a``: hard cases (:data:`HARD`).
* ``imagenet-o``: no class at all. The image is cut into 4 x 4 tiles that change places and are turned; colours and
  strokes stay, objects do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from genas.pipeline.data.reading.images import Pictures


@dataclass(frozen=True)
class Recording:
    """How an image is recorded anew; what is a range or a bound is drawn uniformly for each image.

    Attributes:
        rotate: degrees, either way.
        scale: range of the magnification.
        shift: share of the side, either way.
        contrast: range of the factor on the distance from the mean; the mean itself changes by 0.8 to 1.2.
        noise: standard deviation of Gaussian noise, pixels in [0, 1].
        blur: radius of a Gaussian blur as a share of the side.
        cover: side of a grey square as a share of the image's.
    """

    rotate: float
    scale: tuple[float, float]
    shift: float
    contrast: tuple[float, float]
    noise: float
    blur: float
    cover: float


MILD = Recording(rotate=12, scale=(0.85, 1.1), shift=0.06, contrast=(0.8, 1.2), noise=0.03, blur=0.0, cover=0.0)
HARD = Recording(rotate=30, scale=(0.65, 1.1), shift=0.12, contrast=(0.4, 0.7), noise=0.12, blur=0.02, cover=0.25)


def corrupt(image: Image.Image, rng: np.random.Generator, how: Recording) -> Image.Image:
    """One image recorded anew."""
    width, height = image.size
    fill = tuple(int(v) for v in np.median(np.asarray(image).reshape(-1, 3), axis=0))
    angle = np.deg2rad(rng.uniform(-how.rotate, how.rotate))
    scale = rng.uniform(*how.scale)
    dx, dy = rng.uniform(-how.shift, how.shift, 2) * (width, height)
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    cx, cy = width / 2, height / 2
    affine = (c, s, cx - c * (cx + dx) - s * (cy + dy), -s, c, cy + s * (cx + dx) - c * (cy + dy))
    image = image.transform(image.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=fill)
    if how.blur:
        image = image.filter(ImageFilter.GaussianBlur(how.blur * width))
    pixels = np.asarray(image, dtype=np.float64) / 255
    pixels = (pixels - pixels.mean()) * rng.uniform(*how.contrast) + pixels.mean() * rng.uniform(0.8, 1.2)
    pixels += rng.normal(0, how.noise, pixels.shape)
    side = int(how.cover * width)
    if side:
        x, y = rng.integers(0, width - side), rng.integers(0, height - side)
        pixels[y : y + side, x : x + side] = 0.5
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


def shuffle_tiles(image: Image.Image, rng: np.random.Generator, tiles: int = 4) -> Image.Image:
    """The image cut into ``tiles`` x ``tiles`` squares that change places and are turned by quarter turns."""
    side = min(image.size) // tiles
    pixels = np.asarray(image)[: side * tiles, : side * tiles]
    grid = [pixels[y * side : (y + 1) * side, x * side : (x + 1) * side] for y in range(tiles) for x in range(tiles)]
    turned = [np.rot90(grid[i], int(rng.integers(0, 4))) for i in rng.permutation(len(grid))]
    rows = [np.concatenate(turned[y * tiles : (y + 1) * tiles], axis=1) for y in range(tiles)]
    return Image.fromarray(np.ascontiguousarray(np.concatenate(rows)))


def write_shift(root: Path, seed: int, source: Pictures, classes: list[str]) -> None:
    """The three stand-ins for the shifted sets, in their published layouts."""
    rng = np.random.default_rng(seed)
    changes: dict[str, Callable[[Image.Image], Image.Image]] = {
        "imagenetv2-matched-frequency": lambda image: corrupt(image, rng, MILD),
        "imagenet-a": lambda image: corrupt(image, rng, HARD),
        "imagenet-o": lambda image: shuffle_tiles(image, rng),
    }
    for name, change in changes.items():
        for index in range(len(source)):
            folder = root / name / ("unknown" if name == "imagenet-o" else classes[source.label(index)])
            folder.mkdir(parents=True, exist_ok=True)
            change(source.picture(index)).save(folder / f"{index:05d}.png")

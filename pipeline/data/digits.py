"""The embedded data: scikit-learn's handwritten digits as images, and composed into scenes.

They are the 1,797 of ``load_digits`` (from the UCI repository), grown to 32x32 and painted, each in a random bright
colour on a random dark ground with some noise. Train and held-out digits never mix: the scenes of a validation split
show held-out digits only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genas.pipeline.config import DataParams
from genas.pipeline.data.reading.images import Images

HELD_OUT = 0.2
"""Share of the digits that is held out for testing, stratified by class."""

SIZE = 32
"""Height and width of a digit image."""

SCENE = 128
"""Height and width of a composed scene."""


def ink_of(seed: int) -> dict[str, Images]:
    """Train and held-out digits as 32x32 ink, 0 to 255: ``pixels`` is (N, 32, 32) here."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw, labels = load_digits(return_X_y=True)
    grey = np.round(raw.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    grown = np.stack([np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for one in grey])
    train, held = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=seed)
    return {
        split: Images(grown[index], labels[index].astype(np.int64))
        for split, index in (("train", np.sort(train)), ("val", np.sort(held)))
    }


def _paint(ink: np.ndarray, ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink (H, W) in [0, 1] in a random bright colour on a ground (H, W, 3)."""
    return ground + (rng.uniform(0.6, 1.0, (1, 1, 3)) - ground) * ink[..., None]


def _ground(size: int, rng: np.random.Generator) -> np.ndarray:
    """A plain ground (size, size, 3) in a random dark colour."""
    return np.broadcast_to(rng.uniform(0, 0.35, (1, 1, 3)), (size, size, 3))


def _grain(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture in [0, 1] with the noise of a camera, as uint8."""
    return ((picture + rng.normal(0, 0.05, picture.shape)).clip(0, 1) * 255).astype(np.uint8)


def painted(seed: int) -> dict[str, Images]:
    """Train and held-out digits as 32x32 RGB, each in colours of its own."""
    painted = {}
    for split, digits in ink_of(seed).items():
        rng = np.random.default_rng([seed, 4 + (split == "train")])
        pixels = [_grain(_paint(ink / 255, _ground(SIZE, rng), rng), rng) for ink in digits.pixels]
        painted[split] = Images(np.stack(pixels), digits.labels)
    return painted


def compose(
    digits: Images, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[int, np.ndarray, tuple[int, int, int, int]]]]:
    """One picture of two to four digits apart from each other on a noisy background, and for each digit its class, a
    mask of the whole picture (its filled strokes) and its box (x, y, width, height)."""
    from scipy import ndimage

    canvas = _ground(SCENE, rng).copy()
    taken = np.zeros((SCENE, SCENE), dtype=bool)
    things = []
    for _ in range(int(rng.integers(2, 5))):
        index, side = int(rng.integers(len(digits.labels))), int(rng.integers(44, 65))
        x, y = (int(v) for v in rng.integers(0, SCENE - side, 2))
        place = (slice(y, y + side), slice(x, x + side))
        if taken[place].any():
            continue
        taken[place] = True
        glyph = Image.fromarray(digits.pixels[index]).resize((side, side), Image.Resampling.BICUBIC)
        ink = np.asarray(glyph, dtype=np.float64) / 255
        canvas[place] = _paint(ink, canvas[place], rng)
        margin = side // 4
        stroke = np.pad(ink > 0.3, margin)
        body = ndimage.binary_fill_holes(ndimage.binary_closing(stroke, iterations=side // 8))
        mask = np.zeros_like(taken)
        mask[place] = body[margin:-margin, margin:-margin]
        rows, columns = np.nonzero(mask)
        box = (int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        things.append((int(digits.labels[index]), mask, box))
    return _grain(canvas, rng), things


def _count(spec: DataParams, split: str) -> int:
    total = spec.images or 200
    return total - total // 5 if split == "train" else total // 5


def write_coco(root: Path, spec: DataParams) -> None:
    """Digit scenes in COCO's layout: ``train2017``, ``val2017`` (a quarter as many), ``annotations``."""
    (root / "annotations").mkdir(parents=True)
    for split, digits in ink_of(spec.required_seed).items():
        rng = np.random.default_rng([spec.required_seed, split == "train"])
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        (root / f"{split}2017").mkdir()
        for number in range(1, _count(spec, split) + 1):
            picture, things = compose(digits, rng)
            name = f"{number:012d}.png"
            Image.fromarray(picture).save(root / f"{split}2017" / name)
            images.append({"id": number, "file_name": name, "width": SCENE, "height": SCENE})
            for label, mask, box in things:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": label + 1,
                        "bbox": box,
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": i + 1, "name": str(i)} for i in range(10)]
        content = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))


def write_cityscapes(root: Path, spec: DataParams) -> None:
    """Digit scenes in Cityscapes' layout with train ids: 0 background, 1 to 10 the digits."""
    for split, digits in ink_of(spec.required_seed).items():
        rng = np.random.default_rng([spec.required_seed, 2 + (split == "train")])
        pictures_at, labels_at = (root / kind / split / "digits" for kind in ("leftImg8bit", "gtFine"))
        pictures_at.mkdir(parents=True)
        labels_at.mkdir(parents=True)
        for number in range(_count(spec, split)):
            picture, things = compose(digits, rng)
            truth = np.zeros((SCENE, SCENE), dtype=np.uint8)
            for label, mask, _ in things:
                truth[mask] = label + 1
            stem = f"digits_{number:06d}_000019"
            Image.fromarray(picture).save(pictures_at / f"{stem}_leftImg8bit.png")
            Image.fromarray(truth).save(labels_at / f"{stem}_gtFine_labelTrainIds.png")
    (root / "classes.json").write_text(json.dumps(["background", *(str(i) for i in range(10))]))

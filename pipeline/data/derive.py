"""Data sets made from other ones: digits as images and scenes, and stand-ins for the shifted ImageNet test sets.

The digits are the 1,797 handwritten ones that scikit-learn ships (``load_digits``, from the UCI repository), grown to
32x32 and painted, each in a random bright colour on a random dark ground with some noise. Every derived set is a pure
function of the parameters and its origin. Train and held-out digits never mix: scenes of the validation split and all
shifted images show held-out digits only.

Stand-ins for the shifted sets, from held-out images of any data set:

* ``imagenetv2-matched-frequency``: a mild change of the recording. Rotation within 12 degrees, scale 0.85 to 1.1,
  translation within 6 %, brightness and contrast 0.8 to 1.2, Gaussian noise of 0.03.
* ``imagenet-a``: hard cases. Rotation within 30 degrees, scale 0.65 to 1.1, translation within 12 %, Gaussian blur,
  contrast 0.4 to 0.7, noise of 0.12 and a grey square over a quarter of the side.
* ``imagenet-o``: no class at all. The image is cut into 4 x 4 tiles that change places and are turned; colours and
  strokes stay, objects do not.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from models.errors import GenasError
from pipeline.config import DataParams
from pipeline.context import Context
from pipeline.data.images import Images, Pictures, pictures

HELD_OUT = 0.2
"""Share of the digits that is held out for testing, stratified by class."""

SIZE = 32
"""Height and width of a digit image."""

SCENE = 128
"""Height and width of a composed scene."""

MILD = {
    "rotate": 12,
    "scale": (0.85, 1.1),
    "shift": 0.06,
    "contrast": (0.8, 1.2),
    "noise": 0.03,
    "blur": 0.0,
    "cover": 0.0,
}
HARD = {
    "rotate": 30,
    "scale": (0.65, 1.1),
    "shift": 0.12,
    "contrast": (0.4, 0.7),
    "noise": 0.12,
    "blur": 0.02,
    "cover": 0.25,
}


def _ink(seed: int) -> dict[str, Images]:
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


def _digits(seed: int) -> dict[str, Images]:
    """Train and held-out digits as 32x32 RGB, each in colours of its own."""
    painted = {}
    for split, digits in _ink(seed).items():
        rng = np.random.default_rng([seed, 4 + (split == "train")])
        pixels = [_grain(_paint(ink / 255, _ground(SIZE, rng), rng), rng) for ink in digits.pixels]
        painted[split] = Images(np.stack(pixels), digits.labels)
    return painted


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_digits(root: Path, spec: DataParams) -> None:
    """The digits as ``train.parquet`` and ``test.parquet``."""
    import pyarrow
    import pyarrow.parquet

    for split, images in _digits(spec.seed).items():
        columns = {"image": [_png(image) for image in images.pixels], "label": images.labels}
        name = "train" if split == "train" else "test"
        pyarrow.parquet.write_table(pyarrow.table(columns), root / f"{name}.parquet", compression="none")
    (root / "classes.txt").write_text("\n".join(str(i) for i in range(10)) + "\n")


def corrupt(image: Image.Image, rng: np.random.Generator, how: dict[str, Any]) -> Image.Image:
    """One image under the transformations of :data:`MILD` or :data:`HARD`."""
    width, height = image.size
    fill = tuple(int(v) for v in np.median(np.asarray(image).reshape(-1, 3), axis=0))
    angle = np.deg2rad(rng.uniform(-how["rotate"], how["rotate"]))
    scale = rng.uniform(*how["scale"])
    dx, dy = rng.uniform(-how["shift"], how["shift"], 2) * (width, height)
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    cx, cy = width / 2, height / 2
    affine = (c, s, cx - c * (cx + dx) - s * (cy + dy), -s, c, cy + s * (cx + dx) - c * (cy + dy))
    image = image.transform(image.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=fill)
    if how["blur"]:
        image = image.filter(ImageFilter.GaussianBlur(how["blur"] * width))
    pixels = np.asarray(image, dtype=np.float64) / 255
    pixels = (pixels - pixels.mean()) * rng.uniform(*how["contrast"]) + pixels.mean() * rng.uniform(0.8, 1.2)
    pixels += rng.normal(0, how["noise"], pixels.shape)
    side = int(how["cover"] * width)
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


def write_shift(root: Path, spec: DataParams, source: Pictures, classes: list[str]) -> None:
    """The three stand-ins for the shifted sets, in their published layouts."""
    rng = np.random.default_rng(spec.seed)
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


def _scene(
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


def write_coco(root: Path, spec: DataParams) -> None:
    """Digit scenes in COCO's layout: ``train2017``, ``val2017`` (a quarter as many), ``annotations``."""
    (root / "annotations").mkdir(parents=True)
    for split, digits in _ink(spec.seed).items():
        rng = np.random.default_rng([spec.seed, split == "train"])
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        (root / f"{split}2017").mkdir()
        for number in range(1, _scenes(spec, split) + 1):
            picture, things = _scene(digits, rng)
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
    for split, digits in _ink(spec.seed).items():
        rng = np.random.default_rng([spec.seed, 2 + (split == "train")])
        pictures_at, labels_at = (root / kind / split / "digits" for kind in ("leftImg8bit", "gtFine"))
        pictures_at.mkdir(parents=True)
        labels_at.mkdir(parents=True)
        for number in range(_scenes(spec, split)):
            picture, things = _scene(digits, rng)
            truth = np.zeros((SCENE, SCENE), dtype=np.uint8)
            for label, mask, _ in things:
                truth[mask] = label + 1
            stem = f"digits_{number:06d}_000019"
            Image.fromarray(picture).save(pictures_at / f"{stem}_leftImg8bit.png")
            Image.fromarray(truth).save(labels_at / f"{stem}_gtFine_labelTrainIds.png")
    (root / "classes.json").write_text(json.dumps(["background", *(str(i) for i in range(10))]))


def _scenes(spec: DataParams, split: str) -> int:
    total = spec.images or 200
    return total - total // 5 if split == "train" else total // 5


def _origin_pictures(context: Context, spec: DataParams) -> tuple[Pictures, list[str]]:
    """The held-out images that a shifted set is made from, and the class names."""
    if spec.derive == "digits":
        return Pictures(_digits(spec.seed)["val"]), [str(i) for i in range(10)]
    from pipeline.data.manifest import classes_of, dataset_root, require_layout

    name = str(spec.derive)
    if name not in context.params.data:
        raise GenasError(f"data.{context.axes['dataset']}.derive: unknown data set {name!r}")
    origin, root = context.params.data[name], dataset_root(context, name)
    require_layout(name, origin, root)
    return pictures(root, origin.layout, "val"), classes_of(origin.layout, root)


def fingerprint(context: Context, spec: DataParams) -> str:
    """What a derived set depends on: its parameters, its origin's files and this module."""
    content = [spec.model_dump_json(), inspect.getsource(sys.modules[__name__])]
    if spec.derive != "digits":
        from pipeline.data.manifest import dataset_root, digest_of

        origin = context.params.data.get(str(spec.derive))
        if origin is not None and origin.path is not None:
            content.append(digest_of(dataset_root(context, str(spec.derive)), origin.digest))
    return hashlib.sha256("\0".join(content).encode()).hexdigest()


def write(context: Context, spec: DataParams, root: Path) -> None:
    """Write a derived set into ``root``, replacing what was there.

    Raises:
        GenasError: no such set can be derived.
    """
    writers = {"parquet": write_digits, "coco": write_coco, "cityscapes": write_cityscapes}
    if spec.layout != "shift" and (spec.layout not in writers or spec.derive != "digits"):
        raise GenasError(f"data.{context.axes['dataset']}: layout {spec.layout} cannot be derived from {spec.derive}")
    part = root.with_name(root.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if spec.layout == "shift":
        write_shift(part, spec, *_origin_pictures(context, spec))
    else:
        writers[spec.layout](part, spec)
    shutil.rmtree(root, ignore_errors=True)
    part.rename(root)

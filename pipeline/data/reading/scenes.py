"""Images and their label files for segmentation, in the layouts of Cityscapes and CamVid: found and checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genas.models.errors import GenasError
from genas.pipeline.data.reading.decoding import opened, size_of
from genas.pipeline.data.reading.files import walk

IGNORE = 255
"""The label of pixels that count neither in training nor in evaluation."""
SPLITS = ("train", "val")

_EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = {i: _EVALUATED.index(i) if i in _EVALUATED else IGNORE for i in range(34)}
"""Cityscapes' label ids as train ids (cityscapesscripts/helpers/labels.py)."""

LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B")
"""Pillow's modes of one channel of integers; of a palette the indices count."""


class Layout(NamedTuple):
    """Where a layout keeps a split's images, and its labels under one of several endings.

    ``labels`` maps an ending to the ids to change when reading; the first ending that exists is read.
    """

    image_folder: str
    label_folder: str
    image_ending: str
    labels: dict[str, dict[int, int]]


LAYOUTS = {
    "cityscapes": Layout(
        "leftImg8bit/{}",
        "gtFine/{}",
        "_leftImg8bit.png",
        {"_gtFine_labelTrainIds.png": {}, "_gtFine_labelIds.png": TRAIN_IDS},
    ),
    "camvid": Layout("{}", "{}annot", ".jpg", {".png": {11: IGNORE}}),
}


class Scene(NamedTuple):
    """One image, its label file, and the ids that change when the label file is read."""

    image: Path
    label: Path
    changes: dict[int, int]


def _below(folder: Path, ending: str) -> list[Path]:
    return sorted(Path(path) for path in walk(folder) if path.endswith(ending))


def find_scenes(root: Path, layout: str, split: str) -> list[Scene]:
    """The scenes of a split, in the order of their names.

    Raises:
        GenasError: a folder is missing, holds no image, or an image has no label file.
    """
    places = LAYOUTS[layout]
    images, labels = root / places.image_folder.format(split), root / places.label_folder.format(split)
    for folder in (images, labels):
        if not folder.is_dir():
            raise GenasError(f"{folder}: no such folder, expected by the {layout} layout")
    scenes = []
    for image in _below(images, places.image_ending):
        stem = labels / image.relative_to(images).parent / image.name.removesuffix(places.image_ending)
        for ending, changes in places.labels.items():
            label = stem.with_name(stem.name + ending)
            if label.exists():
                scenes.append(Scene(image, label, changes))
                break
        else:
            raise GenasError(
                f"{image}: no label file, expected {stem.name}{' or '.join(places.labels)} in {stem.parent}"
            )
    if not scenes:
        raise GenasError(f"{images}: no *{places.image_ending} image in it")
    return scenes


def _check_orphans(root: Path, layout: str, split: str) -> None:
    """Refuse a label file without its image: a part of the images is missing.

    Raises:
        GenasError: naming the label file.
    """
    places = LAYOUTS[layout]
    images, labels = root / places.image_folder.format(split), root / places.label_folder.format(split)
    for ending in places.labels:
        for label in _below(labels, ending):
            name = label.name.removesuffix(ending) + places.image_ending
            if not (images / label.relative_to(labels).parent / name).exists():
                raise GenasError(f"{label}: no image to this label file, expected {name} in {images}")


def check_splits(root: Path, layout: str) -> None:
    """Check that images and labels of both splits belong together, by names, sizes and modes; pixels are not read.

    Raises:
        GenasError: as :func:`find_scenes`, a label file without image, sizes that differ, a label file that has not
            one channel of integers, a broken header.
    """
    for split in SPLITS:
        scenes = find_scenes(root, layout, split)
        _check_orphans(root, layout, split)
        for scene in scenes:
            with opened(scene.label, str(scene.label)) as label:
                mode, (width, height) = label.mode, label.size
            if mode not in LABEL_MODES:
                raise GenasError(f"{scene.label}: an image of mode {mode}, expected one channel of class ids")
            image = size_of(scene.image)
            if image != (width, height):
                raise GenasError(
                    f"{scene.label}: {width}x{height} pixels differ from its image's {image[0]}x{image[1]}"
                )


def _decode(path: Path) -> np.ndarray:
    with opened(path, str(path)) as image:
        return np.asarray(image)


def _check_scene(scene: Scene, classes: int) -> None:
    """Decode both files of a scene.

    Raises:
        GenasError: a broken file, sizes that differ, a label file with several channels or ids beyond the classes.
    """
    image, label = _decode(scene.image), _decode(scene.label)
    if label.ndim != 2:
        raise GenasError(f"{scene.label}: {label.shape[-1]} channels, expected one of class ids")
    if label.dtype.kind == "f":
        raise GenasError(f"{scene.label}: floating-point numbers, expected class ids")
    if image.shape[:2] != label.shape:
        raise GenasError(f"{scene.label}: size {label.shape} differs from its image's {image.shape[:2]}")
    for stored in np.unique(label).tolist():
        class_id = scene.changes.get(stored, stored)
        if not 0 <= class_id < classes and class_id != IGNORE:
            raise GenasError(f"{scene.label}: label {stored}, expected 0 to {classes - 1} or {IGNORE} (ignored)")


def check_scenes(scenes: Sequence[Scene], classes: int) -> None:
    """:func:`_check_scene` for all, in threads: decoding does not hold the interpreter's lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(lambda scene: _check_scene(scene, classes), scenes):
            pass

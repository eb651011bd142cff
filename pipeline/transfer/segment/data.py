"""Street scenes for MMSegmentation: one reader for Cityscapes and its lookalikes, one sampler that can start anyplaces.

Importing this module registers ``SceneDataset`` and ``ResumableSampler``. Every training sample, its augmentation
included, is a pure function of (seed, position in the stream), so a run that starts at a later position sees exactly
what an unbroken run would have seen there, whatever the number of worker processes.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
from collections.abc import Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmseg.registry import DATA_SAMPLERS, DATASETS
from PIL import Image
from torch.utils.data import Sampler

from models.errors import GenasError

with contextlib.redirect_stdout(io.StringIO()):  # the fork prints that an optional package of its own is missing
    from mmseg.datasets import BaseSegDataset, CityscapesDataset

IGNORE = 255
"""The label of pixels that count neither in training nor in evaluation."""

CITYSCAPES_CLASSES: tuple[str, ...] = tuple(CityscapesDataset.METAINFO["classes"])

_EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = {i: _EVALUATED.index(i) if i in _EVALUATED else IGNORE for i in range(34)}
"""Cityscapes' label ids as train ids (cityscapesscripts/helpers/labels.py)."""


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
    for image in sorted(images.rglob(f"*{places.image_ending}")):
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


def _decode(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise GenasError(f"{path}: not a readable image ({' '.join(str(error).split())})") from None


def _check_scene(scene: Scene, classes: int) -> None:
    """Decode both files of a scene.

    Raises:
        GenasError: a broken file, sizes that differ, a label file with several channels or ids beyond the classes.
    """
    image, label = _decode(scene.image), _decode(scene.label)
    if label.ndim != 2:
        raise GenasError(f"{scene.label}: {label.shape[-1]} channels, expected one of class ids")
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


def seed_of(*parts: int) -> int:
    """A 32-bit seed that depends on every part and looks unrelated for neighbours."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


class Draw(NamedTuple):
    """What the sampler asks for: an image and the seed of its augmentation."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    seed: int


@DATASETS.register_module()
class SceneDataset(BaseSegDataset):
    """A split of a data set in one of :data:`LAYOUTS`; ``metainfo`` brings the classes.

    Indexed by an int as usual, or by a :class:`Draw`, which seeds the random transforms first.
    """

    def __init__(self, layout: str, split: str, **kwargs: Any) -> None:
        self.layout, self.split = layout, split
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One record a scene. ``label_map`` has MMSegmentation's own loader change the ids."""
        return [
            {
                "img_path": str(scene.image),
                "seg_map_path": str(scene.label),
                "label_map": scene.changes or None,
                "reduce_zero_label": False,
                "seg_fields": [],
            }
            for scene in find_scenes(Path(self.data_root), self.layout, self.split)
        ]

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        if isinstance(key, Draw):
            random.seed(key.seed)
            np.random.seed(key.seed)
            torch.manual_seed(key.seed)
            key = key.index
        return super().__getitem__(key)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler[Draw]):
    """One shuffled pass over the data after another, without end; any place in the stream is reached at once.

    Position p is image p mod n of pass p div n; process r of w takes positions r, r + w, r + 2w, ... MMEngine's
    ``IterBasedTrainLoop`` calls :meth:`skip` when it resumes. A loop that does not know it (MMEngine up to 0.10.7)
    advances by iterating instead, which ends at the same place.
    """

    def __init__(self, dataset: Sized, seed: int, shuffle: bool = True) -> None:
        self.rank, self.world = get_dist_info()
        self.size, self.seed, self.shuffle, self.skipped = len(dataset), seed, shuffle, 0

    def skip(self, samples: int) -> None:
        """Start behind the first ``samples`` samples of this process, counted from the stream's beginning."""
        self.skipped = samples

    def __iter__(self) -> Iterator[Draw]:
        shuffled, order = -1, np.arange(self.size)
        for position in itertools.count(self.rank + self.skipped * self.world, self.world):
            number, place = divmod(position, self.size)
            if self.shuffle and number != shuffled:
                shuffled, order = number, np.random.default_rng((self.seed, number)).permutation(self.size)
            yield Draw(int(order[place]), seed_of(self.seed, position))

    def __len__(self) -> int:
        return self.size

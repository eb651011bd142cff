"""COCO data for the detector: checked, registered with Detectron2, and served in an order that can be resumed.

Which images make up batch ``i``, and how each is augmented, is a function of the seed and of ``i`` alone. The order
is the framework's own (its ``TrainingSampler`` and its grouping by aspect ratio), but drawn on indices before any
image is read, so that a run can begin at any batch; each image's augmentation has its own random seed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import (
    DatasetCatalog,
    DatasetFromList,
    DatasetMapper,
    MetadataCatalog,
    build_detection_test_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.datasets import register_coco_instances
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.data.samplers import TrainingSampler
from torch.utils.data import DataLoader, Dataset, Sampler

from models.errors import GenasError
from pipeline.machine.distributed import rank, size
from pipeline.transfer.frameworks.configuration import images_per_process

Record = dict[str, Any]
"""One image in Detectron2's dataset format."""


def _check_box(origin: Path, annotation: Record, image: Record) -> None:
    """Refuse a box of negative size, or one that leaves its image by more than a pixel.

    COCO's own boxes are rounded, and some are empty: those Detectron2 leaves out by itself.

    Raises:
        GenasError: naming the annotation.
    """
    x, y, width, height = annotation["bbox"]
    box = f"{origin}: box {annotation['bbox']} of annotation {annotation['id']}"
    if not (width >= 0 and height >= 0):
        raise GenasError(f"{box} has a negative size")
    inside = x >= -1 and y >= -1 and x + width <= image["width"] + 1 and y + height <= image["height"] + 1
    if not inside:
        size = f"{image['width']}x{image['height']}"
        raise GenasError(f"{box} lies outside its image {image['file_name']} ({size})")


def check_instances(annotations: Path, images: Path) -> list[str]:
    """Check a COCO instances file against its folder of images; images themselves are not opened.

    Args:
        annotations: ``instances_<split>.json``.
        images: the folder of the images that it names.

    Returns:
        The class names in the order of their ids.

    Raises:
        GenasError: a missing file, no JSON, a missing key, nothing annotated, an image that does not exist, an
            annotation of an unknown image or category, a doubled annotation id, a box outside its image.
    """
    try:
        content = json.loads(annotations.read_text())
        categories = {c["id"]: c["name"] for c in content["categories"]}
        described = {image["id"]: image for image in content["images"]}
        if not content["annotations"]:
            raise GenasError(f"{annotations}: no annotations")
        for image in described.values():
            if not (images / image["file_name"]).is_file():
                raise GenasError(f"{annotations}: image {images / image['file_name']} does not exist")
        seen = set()
        for annotation in content["annotations"]:
            for key, known in (("image_id", described), ("category_id", categories)):
                if annotation[key] not in known:
                    raise GenasError(
                        f"{annotations}: annotation {annotation['id']} has unknown {key} {annotation[key]!r}"
                    )
            if annotation["id"] in seen:
                raise GenasError(f"{annotations}: annotation id {annotation['id']} is given twice")
            seen.add(annotation["id"])
            _check_box(annotations, annotation, described[annotation["image_id"]])
    except FileNotFoundError:
        raise GenasError(f"{annotations}: no such file, a COCO data set has one") from None
    except (ValueError, KeyError, TypeError) as error:
        raise GenasError(f"{annotations}: not a COCO instances file ({type(error).__name__}: {error})") from None
    return [categories[key] for key in sorted(categories)]


def register(name: str, root: Path) -> tuple[str, str, list[str]]:
    """Check a COCO data set and make it known to Detectron2; again, if the name is already taken.

    Args:
        name: of the data set.
        root: the folder of ``train2017/``, ``val2017/`` and ``annotations/instances_{train,val}2017.json``.

    Returns:
        The registered names of the training and the validation split, and the class names.

    Raises:
        GenasError: as :func:`check_instances`, and when the splits have different classes.
    """
    classes, names = {}, {}
    for split in ("train", "val"):
        annotations, images = root / "annotations" / f"instances_{split}2017.json", root / f"{split}2017"
        classes[split] = check_instances(annotations, images)
        # "coco" in a name keeps Detectron2 from warning about category ids with gaps, which COCO itself has.
        names[split] = f"genas_coco_{name}_{split}"
        if names[split] in DatasetCatalog:
            DatasetCatalog.remove(names[split])
            MetadataCatalog.remove(names[split])
        register_coco_instances(names[split], {}, str(annotations), str(images))
    if classes["train"] != classes["val"]:
        raise GenasError(f"{root}: the training and the validation split have different categories")
    return names["train"], names["val"], classes["train"]


@dataclass(frozen=True)
class _Unreadable:
    """What stands in for an image that could not be read, until the training process reports it."""

    message: str


class GuardedMapper:
    """Detectron2's mapper of a record to a sample; what is wrong with an image comes back as :class:`_Unreadable`.

    A loading process must not raise it: torch would wrap the exception into a traceback of many lines.
    """

    def __init__(self, mapper: Callable[[Record], Record]) -> None:
        self.mapper = mapper

    def __call__(self, record: Record) -> Record | _Unreadable:
        try:
            return self.mapper(record)
        except (OSError, SyntaxError, SizeMismatchError) as error:
            return _Unreadable(f"{record['file_name']}: not a readable image ({' '.join(str(error).split())})")


class CheckedLoader:
    """A loader's batches, until one of them holds an unreadable image.

    Raises:
        GenasError: while iterating; names the image.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[Record]]:
        for batch in self.loader:
            for sample in batch:
                if isinstance(sample, _Unreadable):
                    raise GenasError(sample.message)
            yield batch


def index_batches(wide: Sequence[bool], images: int, seed: int) -> Iterator[list[int]]:
    """This process's endless batches of image indices: shuffled rounds, wide and tall images in batches of their own.

    Args:
        wide: for every image, whether it is wider than high.
        images: how many in a batch.
        seed: of the order; the same on every process.
    """
    waiting: dict[bool, list[int]] = {False: [], True: []}
    for index in TrainingSampler(len(wide), seed=seed):
        group = waiting[wide[index]]
        group.append(index)
        if len(group) == images:
            yield list(group)
            group.clear()


class ResumableBatches(Sampler[list[tuple[int, ...]]]):
    """The batches from ``start`` on, each sample as (index, iteration, process, slot)."""

    def __init__(self, wide: Sequence[bool], images: int, seed: int, start: int) -> None:
        self.wide, self.images, self.seed, self.start = wide, images, seed, start

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        batches = itertools.islice(index_batches(self.wide, self.images, self.seed), self.start, None)
        for iteration, batch in enumerate(batches, self.start):
            yield [(index, iteration, rank(), slot) for slot, index in enumerate(batch)]


class SeededSamples(Dataset[Any]):
    """Mapped records by (index, iteration, process, slot); the last three seed the augmentation.

    Detectron2's augmentations draw from numpy's global generator.
    """

    def __init__(self, records: list[Record], mapper: GuardedMapper, seed: int) -> None:
        self.records, self.mapper, self.seed = DatasetFromList(records, copy=False), mapper, seed

    def __getitem__(self, key: tuple[int, ...]) -> Record | _Unreadable:
        index, *place = key
        np.random.seed(np.random.SeedSequence([self.seed, *place]).generate_state(4))
        return self.mapper(self.records[index])


def train_loader(cfg: CfgNode, start: int) -> CheckedLoader:
    """This process's share of the training batches from iteration ``start`` on, endlessly.

    Raises:
        GenasError: the processes cannot share the images of a step.
    """
    images = images_per_process("detect", cfg.SOLVER.IMS_PER_BATCH, size())
    records = get_detection_dataset_dicts(cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
    wide = [cfg.DATALOADER.ASPECT_RATIO_GROUPING and record["width"] > record["height"] for record in records]
    return CheckedLoader(
        DataLoader(
            SeededSamples(records, GuardedMapper(DatasetMapper(cfg, True)), cfg.SEED),
            batch_sampler=ResumableBatches(wide, images, cfg.SEED, start),
            num_workers=cfg.DATALOADER.NUM_WORKERS,
            collate_fn=list,
        )
    )


def val_loader(cfg: CfgNode) -> CheckedLoader:
    """This process's share of the validation images, one in a batch."""
    return CheckedLoader(
        build_detection_test_loader(cfg, cfg.DATASETS.TEST[0], mapper=GuardedMapper(DatasetMapper(cfg, False)))
    )

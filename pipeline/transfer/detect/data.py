"""COCO data for the detector: checked, registered with Detectron2, and served in an order that can be resumed.

Which images make up batch ``i``, and how each is augmented, is a function of the seed and of ``i`` alone. The order
is the framework's own (its ``TrainingSampler`` and its grouping by aspect ratio), but drawn on indices before any
image is read, so that a run can begin at any batch; each image's augmentation has its own random seed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from genas.models.errors import GenasError
from genas.pipeline.data.reading import coco
from genas.pipeline.data.reading.decoding import TOO_LARGE, bounded
from genas.pipeline.data.reading.files import reason
from genas.pipeline.machine.distributed import rank, size
from genas.pipeline.transfer.frameworks.configuration import images_per_process

Record = dict[str, Any]
"""One image in Detectron2's dataset format."""


def narrowed(root: Path, categories: Sequence[str], folder: Path) -> dict[str, Path]:
    """Instances files of some categories alone, by split, which each process writes to a folder for itself.

    Raises:
        GenasError: as :func:`pipeline.data.reading.coco.only`.
    """
    paths = {split: folder / f"instances_{split}-{rank()}.json" for split in coco.SPLITS}
    for split, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(coco.only(coco.files_of_split(root, split)[0], categories)))
    return paths


def register(name: str, root: Path, instances: Mapping[str, Path] | None = None) -> tuple[str, str, list[str]]:
    """Check a COCO data set and make it known to Detectron2; again, if the name is already taken.

    Args:
        name: of the data set.
        root: the folder of ``train2017/``, ``val2017/`` and ``annotations/instances_{train,val}2017.json``.
        instances: the instances files of its splits, if not these (:func:`narrowed`).

    Returns:
        The registered names of the training and the validation split, and the class names.

    Raises:
        GenasError: as :func:`genas.pipeline.data.reading.coco.check_splits`.
    """
    classes, names = coco.check_splits(root), {}
    if instances is not None:
        classes = coco.read_classes(instances["train"])
    for split in coco.SPLITS:
        annotations, images = coco.files_of_split(root, split)
        annotations = annotations if instances is None else instances[split]
        # "coco" in a name keeps Detectron2 from warning about category ids with gaps, which COCO itself has.
        names[split] = f"genas_coco_{name}_{split}"
        if names[split] in DatasetCatalog:
            DatasetCatalog.remove(names[split])
            MetadataCatalog.remove(names[split])
        register_coco_instances(names[split], {}, str(annotations), str(images))
    return names["train"], names["val"], classes


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
            with bounded():
                return self.mapper(record)
        except (OSError, SyntaxError, ValueError, SizeMismatchError, *TOO_LARGE) as error:
            return _Unreadable(f"{record['file_name']}: not a readable image ({reason(error)})")


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

"""Layouts of data sets on disk: where a set lies, what must be there, and what is in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from genas.models.errors import GenasError
from genas.pipeline.config import LAYOUTS, DataParams, data_root, offered
from genas.pipeline.config.installed import load
from genas.pipeline.context import Context
from genas.pipeline.data.reading import coco, shards, tables
from genas.pipeline.data.reading.classes import class_list
from genas.pipeline.data.reading.decoding import ENDINGS
from genas.pipeline.data.reading.files import reason, subfolders, walk
from genas.pipeline.machine.imports import closure, digest

REQUIRED: dict[str, tuple[str, ...]] = {
    "parquet": ("train.parquet", "test.parquet|val.parquet"),
    "folder": ("train", "val"),
    "webdataset": ("train", "val"),
    "cifar10": ("cifar-10-batches-py",),
    "cifar100": ("cifar-100-python",),
    "shift": ("imagenetv2-matched-frequency", "imagenet-a", "imagenet-o"),
    "coco": ("annotations/instances_train2017.json", "annotations/instances_val2017.json", "train2017", "val2017"),
    "cityscapes": ("leftImg8bit", "gtFine"),
    "camvid": ("train", "trainannot", "val", "valannot"),
}
"""What a layout has at its top; ``|`` separates names of which one must be there."""
OFFERED = ("train", "val")
"""The splits of a layout that an installed package offers."""


class Layout(Protocol):
    """What the module of such a layout offers: image files, each with its class."""

    REQUIRED: tuple[str, ...]
    """As in :data:`REQUIRED`."""

    def classes(self, root: Path) -> list[str]:
        """The class names in label order."""

    def images(self, root: Path, split: str) -> list[tuple[Path, int]]:
        """The files of ``train`` or ``val`` in a fixed order, and their labels."""


def layout_of(name: str) -> Layout | None:
    """The module of a layout; None for the project's own."""
    return None if name in LAYOUTS else cast(Layout, load("layouts", name))


def code_of(name: str) -> str | None:
    """SHA-256 over that module and what it imports, of its own package and of this project."""
    return None if name in LAYOUTS else digest(closure(offered("layouts")[name], computed=False))


def dataset_root(context: Context, name: str) -> Path:
    """The folder in which the data set ``name`` of the profile lies."""
    return root_of(context.params.data[name], context.output_of("data", name))


def index_of(context: Context, name: str) -> Path:
    """Where the data stage records the members of a set's shards, which it does for the layout ``webdataset``."""
    return context.output_of("data", name) / "index.parquet"


def root_of(spec: DataParams, out: Path) -> Path:
    """The folder of a set: below the data root, or in the row's own output ``out`` where it is derived."""
    return out / "files" if spec.path is None else data_root() / spec.path


def validation_images(layout: str, counts: Mapping[str, int]) -> int:
    """How many images the split ``val`` that is read has: the first of a table's names, else the folder ``val``."""
    names = tables.NAMES["val"] if layout in ("parquet", "cifar10", "cifar100") else ("val",)
    return next((counts[name] for name in names if name in counts), 0)


def split_file(spec: DataParams) -> Path | None:
    """The file that says which images of a set train and which are held out, if it has one."""
    return None if spec.split is None else data_root() / spec.split


def require_layout(name: str, spec: DataParams, root: Path) -> None:
    """Check that a data set is where it should be.

    Raises:
        GenasError: one line with the set, where it is looked for, in which layout, and where it comes from.
    """
    layout = layout_of(spec.layout)
    required = REQUIRED[spec.layout] if layout is None else layout.REQUIRED
    for alternatives in required:
        if not any(os.path.exists(root / part) for part in alternatives.split("|")):
            source = f"; it comes from {spec.source}" if spec.source else ""
            expected = ", ".join(required)
            raise GenasError(
                f"data set {name}: {root / alternatives.split('|')[0]} is missing; "
                f"layout {spec.layout} expects {expected} in {root} (GENAS_DATA sets the data root){source}"
            )


def files_of(root: Path) -> list[Path]:
    """All files of a data set in a fixed order, hidden ones left out, links followed.

    Raises:
        GenasError: as :func:`genas.pipeline.data.reading.files.walk`.
    """
    return sorted(Path(path) for path in walk(root))


def digest_of(root: Path, how: str) -> str:
    """SHA-256 over names and contents (``content``) or names and sizes (``listing``).

    Raises:
        GenasError: a file that vanishes or cannot be read meanwhile, or as :func:`files_of`.
    """
    sha = hashlib.sha256()
    for path in files_of(root):
        sha.update(f"{path.relative_to(root)}\0".encode())
        try:
            if how == "content":
                with path.open("rb") as stream:
                    sha.update(hashlib.file_digest(stream, "sha256").digest())
            else:
                sha.update(str(path.stat().st_size).encode())
        except OSError as error:
            raise GenasError(f"{path}: not readable while the digest of {root} is taken ({reason(error)})") from None
    return sha.hexdigest()


def _images(folder: Path) -> int:
    return sum(path.suffix.lower() in ENDINGS for path in files_of(folder))


def classes_of(layout: str, root: Path, index: Path | None = None) -> list[str]:
    """The class names that a data set brings, in label order; empty where the layout fixes or lacks them.

    Shards without ``classes.txt`` have the numbers that their training images have.

    Raises:
        GenasError: a list that is no list of names (:func:`genas.pipeline.data.reading.classes.class_list`).
    """
    if (other := layout_of(layout)) is not None:
        return other.classes(root)
    if layout == "folder":
        return subfolders(root / "train")
    if layout == "coco":
        return coco.read_classes(root / "annotations/instances_val2017.json")
    if names := class_list(root):
        return names
    if layout == "webdataset":
        return [str(i) for i in range(1 + shards.open_split(root, "train", index=index).labels.max(initial=-1))]
    return []


def splits_of(layout: str, root: Path, index: Path | None = None) -> dict[str, int]:
    """Images a split.

    Raises:
        GenasError: an unreadable table, or a shard that is broken or has a class beyond the class list.
    """
    if (other := layout_of(layout)) is not None:
        return {name: len(other.images(root, name)) for name in OFFERED}
    names: tuple[str, ...] = ("train", "val", "test")
    if layout == "webdataset":
        found, classes = [name for name in names if (root / name).is_dir()], classes_of(layout, root, index)
        return {name: len(shards.open_split(root, name, classes, index)) for name in found}
    if layout == "parquet":
        return {path.stem: tables.rows_of(path) for path in sorted(root.glob("*.parquet"))}
    if layout in ("cifar10", "cifar100"):
        return {"train": 50_000, "test": 10_000}
    folder = {"coco": "{}2017", "cityscapes": "leftImg8bit/{}"}.get(layout, "{}")
    if layout == "shift":
        names = (*REQUIRED["shift"], "imagenet-r")
    return {name: _images(root / folder.format(name)) for name in names if (root / folder.format(name)).is_dir()}

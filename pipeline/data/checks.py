"""What the data stage looks at before hours are spent on a data set: everything that costs no decoding of pixels.

Defects that only decoding shows (a picture that is cut off, a class id in a label file) are found by the stage that
reads it, in one line as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams
from genas.pipeline.data.reading import coco, scenes
from genas.pipeline.data.reading.decoding import ENDINGS, size_of
from genas.pipeline.data.reading.files import line, subfolders
from genas.pipeline.data.reading.images import list_folder
from genas.pipeline.data.reading.layouts import OFFERED, REQUIRED, Layout, files_of, layout_of
from genas.pipeline.data.reading.tables import check_tables


def _check_class_folders(root: Path) -> None:
    """Class folders: the same in both splits, none without a training image, no picture outside of them.

    Raises:
        GenasError: naming the folder or the picture.
    """
    train, val = (subfolders(root / split) for split in ("train", "val"))
    for here, there, names in (("train", "val", train), ("val", "train", val)):
        lacking = [name for name in (val if here == "train" else train) if name not in set(names)]
        if lacking:
            others = f", nor has it {len(lacking) - 1} others" if lacking[1:] else ""
            raise GenasError(f"{root / here}: no class folder {line(lacking[0], 80)}, which {root / there} has{others}")
    filled = {label for _, label in list_folder(root / "train", train)}
    for label, name in enumerate(train):
        if label not in filled:
            raise GenasError(f"{root / 'train' / name}: no images of this class, expected {', '.join(ENDINGS)}")
    for split in ("train", "val"):
        for path in sorted((root / split).iterdir()):
            if path.is_file() and _pictured(path):
                raise GenasError(f"{path}: a picture in no class folder")


def _pictured(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")


def _check_pictures(root: Path, headers: bool) -> None:
    """Every picture has bytes and, if ``headers`` are to be read, is a picture; no folder is called like one.

    Raises:
        GenasError: naming the file.
    """
    folders: set[Path] = set()
    for path in filter(_pictured, files_of(root)):
        if path.parent not in folders:
            folders |= {path.parent}
            if _pictured(path.parent) and path.parent != root:
                raise GenasError(f"{path.parent}: a folder, expected a picture")
        if headers:
            size_of(path)
        elif not os.path.getsize(path):
            raise GenasError(f"{path}: a picture of no bytes")


def _check_shifted(root: Path) -> None:
    """Shifted sets: no picture outside of a class folder.

    Raises:
        GenasError: naming the picture.
    """
    for name in REQUIRED["shift"]:
        for path in sorted((root / name).iterdir()):
            if path.is_file() and _pictured(path):
                raise GenasError(f"{path}: a picture in no class folder")


def _check_offered(layout: Layout, root: Path) -> None:
    """A layout that an installed package offers: every image is a picture, and of a class that the layout names.

    Raises:
        GenasError: naming the file.
    """
    classes = layout.classes(root)
    for path, label in (one for split in OFFERED for one in layout.images(root, split)):
        if not 0 <= label < len(classes):
            raise GenasError(f"{path}: class {label}, but {root} has {len(classes)} classes")
        size_of(path)


CHECKS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "parquet": (check_tables,),
    "folder": (_check_class_folders,),
    "webdataset": (),  # labels are checked by whoever opens the shards, the data stage first
    "cifar10": (),  # torchvision compares the published digest whenever it reads
    "cifar100": (),
    "shift": (_check_shifted,),
    "coco": (lambda root: coco.check_splits(root, sizes=True),),
    "cityscapes": (lambda root: scenes.check_splits(root, "cityscapes"),),
    "camvid": (lambda root: scenes.check_splits(root, "camvid"),),
}
"""What is looked at in each layout."""


def look_at(spec: DataParams, root: Path) -> None:
    """Look at a data set whose digest is new.

    Pictures of class folders are opened where the digest is of contents, so that all bytes are read anyhow; of sets of
    millions of files, of which names and sizes are listed, only the sizes are looked at.

    Raises:
        GenasError: the first defect.
    """
    if (layout := layout_of(spec.layout)) is not None:
        _check_offered(layout, root)
        return
    for check in CHECKS[spec.layout]:
        check(root)
    if spec.layout in ("folder", "shift"):
        _check_pictures(root, headers=spec.digest == "content")

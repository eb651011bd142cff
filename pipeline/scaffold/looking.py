"""What is in the folders that a profile is to be made for; whatever is wrong with them is one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

from genas.models.errors import GenasError
from genas.pipeline.config import DataParams
from genas.pipeline.data.checks import look_at
from genas.pipeline.data.reading import coco, scenes
from genas.pipeline.data.reading.classes import class_list
from genas.pipeline.data.reading.decoding import ENDINGS, size_of
from genas.pipeline.data.reading.files import subfolders, walk
from genas.pipeline.data.reading.images import evenly, list_folder
from genas.pipeline.data.reading.layouts import REQUIRED, require_layout

MANY = 100_000
"""From so many photographs on, names and sizes are their digest, and not all of them are opened."""
FEWEST = 8
"""Photographs to train on: half of them train the supernet, and BatchNorm wants two at once."""
HELD = 5
"""Of so many photographs of a class in one folder the last is held out."""
CAMVID_CLASSES = 11
"""After which CamVid's label of what does not count comes."""


def digest_for(images: int) -> Literal["content", "listing"]:
    """How changes of a set of so many images are noticed (``data.*.digest``)."""
    return "content" if images < MANY else "listing"


Parts = dict[str, list[Path]]
"""Files of each split."""


class Photographs(NamedTuple):
    """Photographs in class folders; ``side``: the median shorter side in pixels; ``parts``: their files, where they lie
    in one folder and were split here."""

    classes: int
    train: int
    val: int
    side: int
    parts: Parts | None

    @property
    def digest(self) -> Literal["content", "listing"]:
        """How changes are noticed."""
        return digest_for(self.train + self.val)


class Objects(NamedTuple):
    """A COCO set: its categories, images to train on, their median shorter side in pixels."""

    classes: int
    train: int
    side: int


class Scenes(NamedTuple):
    """Images with label files: their layout, how many train, width and height of the first."""

    layout: str
    train: int
    size: tuple[int, int]


def _spec(layout: str, digest: str) -> DataParams:
    return DataParams.model_validate({"layout": layout, "digest": digest, "path": "here"})


def _shorter_side(files: Sequence[Path]) -> int:
    return int(median(min(size_of(files[int(i)])) for i in evenly(len(files), 100)))


def _require_folder(folder: Path, expected: str) -> None:
    if not folder.is_dir():
        raise GenasError(f"{folder}: no such folder, expected one with {expected}")


def photographs(folder: Path) -> Photographs:
    """What is in a folder of class folders, or in its ``train`` and ``val``.

    Raises:
        GenasError: no such folder; ``train`` without ``val``, or the reverse; a class folder that is missing in one of
            them, is empty or cannot be read; one class, or too few photographs; a photograph that is none.
    """
    _require_folder(folder, "class folders of photographs, or train and val with them")
    names = [name for name in subfolders(folder) if not name.startswith(".")]
    split = {"train", "val"} & set(names)
    if not split:
        return _split_here(folder, names)
    if len(split) == 1:
        raise GenasError(f"{folder / ({'train', 'val'} - split).pop()}: no such folder beside {split.pop()}")
    classes = [name for name in subfolders(folder / "train") if not name.startswith(".")]
    _require_classes(folder / "train", classes)
    train, val = (list_folder(folder / name) for name in ("train", "val"))
    if not val:
        raise GenasError(f"{folder / 'val'}: no photographs, expected {', '.join(ENDINGS)}")
    found = Photographs(len(classes), len(train), len(val), _side(folder, [file for file, _ in train]), None)
    look_at(_spec("folder", found.digest), folder)
    return found


def _require_classes(folder: Path, classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise GenasError(f"{folder}: {len(classes)} class folders, expected two or more")


def _side(folder: Path, train: Sequence[Path]) -> int:
    if len(train) < FEWEST:
        raise GenasError(f"{folder}: {len(train)} photographs to train on, expected {FEWEST} or more")
    return _shorter_side(train)


def _split_here(folder: Path, classes: list[str]) -> Photographs:
    _require_classes(folder, classes)
    parts: Parts = {"train": [], "val": []}
    listed = list_folder(folder, classes)
    for label, name in enumerate(classes):
        files = [file for file, its in listed if its == label]
        if len(files) < 2:
            raise GenasError(
                f"{folder / name}: {len(files)} photographs ({', '.join(ENDINGS)}), expected two or more: some are "
                "held out"
            )
        held = set(files[HELD - 1 :: HELD] or files[-1:])
        for file in files:
            parts["val" if file in held else "train"].append(file)
    train, val = parts.values()
    found = Photographs(len(classes), len(train), len(val), _side(folder, train), parts)
    if found.digest == "content":
        for file, _ in listed:
            size_of(file)
    return found


def objects(folder: Path) -> Objects:
    """What is in a COCO set.

    Raises:
        GenasError: as :func:`genas.pipeline.data.reading.coco.check_splits`, or a folder of the layout is missing.
    """
    _require_folder(folder, f"the layout of COCO ({', '.join(REQUIRED['coco'])})")
    require_layout("objects", _spec("coco", "content"), folder)
    classes = coco.check_splits(folder, sizes=True)
    images = coco.files_of_split(folder, "train")[1]
    files = sorted(Path(path) for path in walk(images) if path.lower().endswith(ENDINGS))
    return Objects(len(classes), len(files), _shorter_side(files))


def segmented(folder: Path) -> Scenes:
    """What is in a segmentation set, in the layout of Cityscapes or of CamVid.

    Raises:
        GenasError: as :func:`genas.pipeline.data.reading.scenes.check_splits`, another layout, or more classes than
            CamVid's layout has labels for.
    """
    expected = " or ".join(f"{layout} ({', '.join(REQUIRED[layout])})" for layout in scenes.LAYOUTS)
    _require_folder(folder, f"the layout of {expected}")
    layout = next((one for one in scenes.LAYOUTS if all((folder / part).exists() for part in REQUIRED[one])), None)
    if layout is None:
        raise GenasError(f"{folder}: neither the layout of {expected}")
    scenes.check_splits(folder, layout)
    classes = class_list(folder)
    if layout == "camvid" and len(classes) > CAMVID_CLASSES:
        raise GenasError(
            f"{folder}: {len(classes)} classes, but in CamVid's layout label {CAMVID_CLASSES} is what does not count; "
            "use that of Cityscapes"
        )
    found = scenes.find_scenes(folder, layout, "train")
    return Scenes(layout, len(found), size_of(found[0].image))

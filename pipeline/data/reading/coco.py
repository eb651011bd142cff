"""COCO's instances files, checked: every record has what training and evaluation will ask of it, hours later.

Training reads boxes and ids; the official evaluation also wants ``area`` and ``iscrowd`` of every annotation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from genas.models.errors import GenasError
from genas.pipeline.data.reading.classes import check_names
from genas.pipeline.data.reading.decoding import size_of
from genas.pipeline.data.reading.files import json_of, line

Record = dict[str, Any]
SPLITS = ("train", "val")


def _integer(value: Any) -> bool:
    return type(value) is int


def _number(value: Any) -> bool:
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def _box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_number, value))


def _inside(value: Any) -> bool:
    """Whether a text is a file's name that does not lead out of a folder."""
    path = PurePosixPath(value) if isinstance(value, str) and value.isprintable() else PurePosixPath("/")
    return path.parts != () and not path.is_absolute() and ".." not in path.parts


FIELDS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "categories": {
        "id": (_integer, "an integer"),
        "name": (lambda value: isinstance(value, str), "a name"),
    },
    "images": {
        "id": (_integer, "an integer"),
        "file_name": (_inside, "a file below the folder of images"),
        "width": (lambda value: _integer(value) and value > 0, "a number of pixels"),
        "height": (lambda value: _integer(value) and value > 0, "a number of pixels"),
    },
    "annotations": {
        "id": (_integer, "an integer"),
        "image_id": (_integer, "an integer"),
        "category_id": (_integer, "an integer"),
        "bbox": (
            lambda value: isinstance(value, list) and len(value) == 4 and all(map(_number, value)),
            "four numbers",
        ),
        "area": (lambda value: _number(value) and value >= 0, "a number of pixels"),
        "iscrowd": (lambda value: value in (0, 1), "0 or 1"),
    },
}
"""What a record of each kind holds: a test of the value, and what is expected of it."""
SINGULAR = {"categories": "category", "images": "image", "annotations": "annotation"}


def _records(annotations: Path, content: Record, kind: str) -> dict[int, Record]:
    """The records of a kind by their ids.

    Raises:
        GenasError: no list of records, a record that lacks a field or has another value than :data:`FIELDS` says, an
            id that is given twice.
    """
    if not isinstance(content[kind], list):
        raise GenasError(f"{annotations}: {kind} is {line(content[kind], 40)}, expected a list")
    records: dict[int, Record] = {}
    for place, record in enumerate(content[kind]):
        if not isinstance(record, dict):
            raise GenasError(f"{annotations}: {SINGULAR[kind]} {line(record, 40)}, expected an object")
        for field, (valid, expected) in FIELDS[kind].items():
            if field not in record or not valid(record[field]):
                which = f"{SINGULAR[kind]} {line(record.get('id', f'in place {place}'), 40)}"
                value = line(repr(record[field]), 60) if field in record else "missing"
                raise GenasError(f"{annotations}: {which}: {field} is {value}, expected {expected}")
        if record["id"] in records:
            raise GenasError(f"{annotations}: {SINGULAR[kind]} id {record['id']} is given twice")
        records[record["id"]] = record
    return records


def _check_box(origin: Path, annotation: Record, image: Record) -> None:
    """Refuse a box of negative size, or one that leaves its image by more than a pixel.

    COCO's own boxes are rounded, and some are empty: those Detectron2 leaves out by itself.

    Raises:
        GenasError: naming the annotation.
    """
    x, y, width, height = annotation["bbox"]
    box = f"{origin}: box {line(annotation['bbox'], 80)} of annotation {annotation['id']}"
    if not (width >= 0 and height >= 0):
        raise GenasError(f"{box} has a negative size")
    inside = x >= -1 and y >= -1 and x + width <= image["width"] + 1 and y + height <= image["height"] + 1
    if not inside:
        size = f"{image['width']}x{image['height']}"
        raise GenasError(f"{box} lies outside its image {image['file_name']} ({size})")


def _read(annotations: Path) -> tuple[Record, dict[int, str]]:
    """An instances file and the names of its categories by their ids."""
    if not annotations.exists():
        raise GenasError(f"{annotations}: no such file, a COCO data set has one")
    content = json_of(annotations, "a COCO instances file")
    if not isinstance(content, dict):
        raise GenasError(f"{annotations}: not a COCO instances file (a {type(content).__name__}, no object)")
    for kind in FIELDS:
        if kind not in content:
            raise GenasError(f"{annotations}: not a COCO instances file (KeyError: {kind!r})")
    names = {key: record["name"] for key, record in _records(annotations, content, "categories").items()}
    check_names(f"{annotations}: categories", [names[key] for key in sorted(names)])
    return content, names


def read_classes(annotations: Path) -> list[str]:
    """The class names of an instances file in the order of their ids.

    Raises:
        GenasError: no instances file, or categories that are wrong.
    """
    names = _read(annotations)[1]
    return [names[key] for key in sorted(names)]


def check_instances(annotations: Path, images: Path, sizes: bool = False) -> list[str]:
    """Check a COCO instances file against its folder of images.

    Args:
        annotations: ``instances_<split>.json``.
        images: the folder of the images that it names.
        sizes: whether to open the images too, and compare their sizes, by their headers.

    Returns:
        The class names in the order of their ids.

    Raises:
        GenasError: a missing file, no JSON, a missing or wrong field, nothing annotated, an image that does not exist
            or has another size, an annotation of an unknown image or category, a doubled id, a box outside its image.
    """
    content, categories = _read(annotations)
    described = _records(annotations, content, "images")
    if not content["annotations"]:
        raise GenasError(f"{annotations}: no annotations")
    for image in described.values():
        _check_image(annotations, images / image["file_name"], image, sizes)
    for annotation in _records(annotations, content, "annotations").values():
        for key, known in (("image_id", described), ("category_id", categories)):
            if annotation[key] not in known:
                raise GenasError(f"{annotations}: annotation {annotation['id']} has unknown {key} {annotation[key]}")
        _check_box(annotations, annotation, described[annotation["image_id"]])
    return [categories[key] for key in sorted(categories)]


def _check_image(annotations: Path, path: Path, image: Record, sizes: bool) -> None:
    if not path.is_file():
        raise GenasError(f"{annotations}: image {path} does not exist")
    if sizes and (size := size_of(path)) != (image["width"], image["height"]):
        described = f"{image['width']}x{image['height']}"
        raise GenasError(f"{path}: {size[0]}x{size[1]} pixels, but {annotations.name} says {described}")


def files_of_split(root: Path, split: str) -> tuple[Path, Path]:
    """The instances file of a split (``train`` or ``val``) and its folder of images."""
    return root / "annotations" / f"instances_{split}2017.json", root / f"{split}2017"


def check_splits(root: Path, sizes: bool = False) -> list[str]:
    """:func:`check_instances` for both splits; returns the class names.

    Raises:
        GenasError: as there, and when the splits have different categories.
    """
    train, val = (check_instances(*files_of_split(root, split), sizes) for split in SPLITS)
    if train != val:
        missing = sorted(set(train) ^ set(val))
        which = f"{line(missing[0], 40)} is in one alone" if missing else "the same in another order of ids"
        raise GenasError(f"{root}: the training and the validation split have different categories, {which}")
    return train


def only(annotations: Path, names: Sequence[str]) -> Record:
    """What an instances file says of some of its categories; its images stay.

    Raises:
        GenasError: no such category, or nothing of these is annotated.
    """
    content, categories = _read(annotations)
    if unknown := sorted(set(names) - set(categories.values())):
        raise GenasError(f"{annotations}: no category is called {line(repr(unknown[0]), 40)}")
    kept = {key for key, name in categories.items() if name in names}
    found = [record for record in content["annotations"] if record["category_id"] in kept]
    if not found:
        raise GenasError(f"{annotations}: nothing is annotated as {line(', '.join(names), 80)}")
    listed = [record for record in content["categories"] if record["id"] in kept]
    return {**content, "categories": listed, "annotations": found}

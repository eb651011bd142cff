"""Small data sets without a defect, one for each layout, for tests that spoil them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

Spoil = Callable[[Path], object]
"""What is done to the folder of a good data set."""
Member = tuple[str, Any]
"""Of a shard: its name, and its bytes or what it links to (a text)."""


def picture(mode: str = "RGB", size: tuple[int, int] = (6, 4), kind: str = "png", **how: Any) -> bytes:
    """An encoded picture of one value."""
    buffer = io.BytesIO()
    Image.new(mode, size, 1 if mode in ("L", "P", "I;16", "F", "I") else None).save(buffer, kind, **how)
    return buffer.getvalue()


def save(path: Path, content: bytes) -> None:
    """A file, and the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_table(path: Path, **columns: Any) -> None:
    """A parquet file of two rows, of which columns are replaced or, by None, left out."""
    every = {"image": [picture(), picture()], "label": [0, 1]} | columns
    table = pyarrow.table({name: values for name, values in every.items() if values is not None})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)


def parquet(root: Path) -> None:
    """Two pictures a split, of the classes ant and bee."""
    for name in ("train", "test"):
        write_table(root / f"{name}.parquet")
    (root / "classes.txt").write_text("ant\nbee\n")


def folder(root: Path) -> None:
    """A picture of ant and one of bee in each split."""
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            save(root / split / name / "a.png", picture())


def add_members(tar: tarfile.TarFile, members: Iterable[Member]) -> None:
    """Members of an archive by name and content, a text standing for a symbolic link."""
    for name, content in members:
        member = tarfile.TarInfo(name)
        if isinstance(content, str):
            member.type, member.linkname = tarfile.SYMTYPE, content
            tar.addfile(member)
        else:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_shard(path: Path, members: Sequence[Member]) -> None:
    """A shard of some members, a text standing for a symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        add_members(tar, members)


def webdataset(root: Path) -> None:
    """A shard a split, of one ant and one bee."""
    for split in ("train", "val"):
        members = [("0.png", picture()), ("0.cls", b"0"), ("1.png", picture()), ("1.cls", b"1")]
        write_shard(root / split / "a.tar", members)
    (root / "classes.txt").write_text("ant\nbee\n")


def coco(root: Path) -> None:
    """Two pictures a split, with an annotation each."""
    for split in ("train", "val"):
        for name in ("1.png", "2.png"):
            save(root / f"{split}2017" / name, picture())
        images = [{"id": i, "file_name": f"{i}.png", "width": 6, "height": 4} for i in (1, 2)]
        annotations = [
            {"id": i, "image_id": i, "category_id": i, "bbox": [0, 0, 2.5, 3], "area": 7.5, "iscrowd": 0}
            for i in (1, 2)
        ]
        categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        save(root / f"annotations/instances_{split}2017.json", json.dumps(content).encode())


def camvid(root: Path) -> None:
    """Two pictures a split, with their label files, of the classes ant and bee."""
    for split in ("train", "val"):
        for name in ("1", "2"):
            save(root / split / f"{name}.jpg", picture(kind="jpeg"))
            save(root / f"{split}annot" / f"{name}.png", picture("L"))
    (root / "classes.json").write_text('["ant", "bee", "Void"]')


def shift(root: Path) -> None:
    """A picture of ant in each of the three sets."""
    for name in ("imagenetv2-matched-frequency", "imagenet-a", "imagenet-o"):
        save(root / name / "ant" / "a.png", picture())


GOOD: dict[str, Spoil] = {
    "parquet": parquet,
    "folder": folder,
    "webdataset": webdataset,
    "coco": coco,
    "camvid": camvid,
    "shift": shift,
}


def sixteen_bits(values: np.ndarray) -> bytes:
    """A grey PNG of 16 bits."""
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(buffer, "png")
    return buffer.getvalue()

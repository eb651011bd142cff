"""WebDataset shards: ``{train,val}/*.tar``, whose images are read by offset, in any order, as those of a folder are.

A shard is a plain tar file of samples: members that share the part of their name before the first dot. A sample has an
image (``key.jpg``) and a class, an integer in ``key.cls``, as ``label`` in ``key.json``, or in ``key.txt`` (of several,
the first of these). Where each image lies is found in one pass over the headers. The data stage keeps it as a table
beside its manifest (:func:`record`), so that no later stage, and no process of one, reads the headers again.
"""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet

from genas.models.errors import GenasError
from genas.pipeline.data.reading.files import check_name, reason

IMAGES = ("jpg", "jpeg", "png", "webp")
CLASSES = ("cls", "json", "txt")
SPLITS = ("train", "val", "test")
KINDS = {"member": pyarrow.string(), "offset": pyarrow.int64(), "size": pyarrow.int64(), "label": pyarrow.int64()}
"""Columns of the table beside the shard's name."""
NUMBER = re.compile(r"\s*[0-9]{1,6}\s*")
"""A class number. There are never a million classes, and their names are listed in memory."""


class Sample(NamedTuple):
    """One image: ``offset`` and ``size`` in bytes of the member ``member`` of a shard."""

    member: str
    offset: int
    size: int
    label: int


def _label(origin: str, member: str, content: bytes) -> int:
    try:
        text = str(json.loads(content)["label"]) if member.lower().endswith("json") else content.decode()
    except (ValueError, KeyError, TypeError, RecursionError):
        text = ""
    if not NUMBER.fullmatch(text):
        raise GenasError(f"{origin}: {member}: {content[:40]!r} is no class number")
    return int(text)


def _check_member(origin: str, member: tarfile.TarInfo) -> None:
    """Refuse an image or a class that has no bytes of its own in the shard, or whose name leads out of it.

    Raises:
        GenasError: naming the member.
    """
    check_name(origin, member.name)
    if not member.isreg() or member.issparse():
        raise GenasError(f"{origin}: {member.name}: a link, a folder or a sparse file, expected a file")
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise GenasError(f"{origin}: {member.name}: the name leads out of the shard")


def samples_of(shard: Path) -> list[Sample]:
    """The images of one shard in its order.

    Raises:
        GenasError: the file is no tar file or ends too early, or a sample lacks its class or its image; the message
            names the shard and the member.
    """
    images: dict[str, tuple[str, int, int]] = {}
    classes: dict[str, dict[int, tuple[str, bytes]]] = {}
    last = "its beginning"
    try:
        with shard.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            while (member := tar.next()) is not None:
                last = member.name
                folder, slash, name = member.name.rpartition("/")
                name, _, kind = name.partition(".")
                key, kind = folder + slash + name, kind.lower()
                if not name or kind not in (*IMAGES, *CLASSES):
                    continue
                _check_member(str(shard), member)
                if kind in IMAGES:
                    if key in images:
                        raise GenasError(f"{shard}: {member.name}: a second image of the sample {key}")
                    images[key] = (member.name, member.offset_data, member.size)
                else:
                    if CLASSES.index(kind) in classes.setdefault(key, {}):
                        raise GenasError(f"{shard}: {member.name}: a second class of the sample {key}")
                    stream.seek(member.offset_data)
                    classes[key][CLASSES.index(kind)] = (member.name, stream.read(member.size))
            # tarfile takes any header that it cannot read for the end; a whole file ends with a block of zeros.
            stream.seek(tar.offset)
            whole = stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (tarfile.TarError, OSError) as error:
        raise GenasError(f"{shard}: not a whole tar file after {last} ({reason(error)})") from None
    if not whole:
        raise GenasError(f"{shard}: not a whole tar file after {last} (no end-of-archive block)")
    for key, image in images.items():
        if key not in classes:
            raise GenasError(f"{shard}: {image[0]}: no class beside it ({', '.join(f'.{k}' for k in CLASSES)})")
    for key, written in classes.items():
        if key not in images and 0 in written:  # whatever else a shard holds may have a text or a JSON
            raise GenasError(f"{shard}: {written[0][0]}: no image beside it")
    return [Sample(*image, _label(str(shard), *min(classes[key].items())[1])) for key, image in images.items()]


def _shards(root: Path) -> dict[str, int]:
    """Sizes in bytes by path below ``root``."""
    paths = [path for split in SPLITS for path in sorted((root / split).glob("*.tar"))]
    return {str(path.relative_to(root)): path.stat().st_size for path in paths}


def build(root: Path) -> pyarrow.Table:
    """Every image of a data set: ``shard`` (path below ``root``), ``member``, ``offset``, ``size`` and ``label``.

    Raises:
        GenasError: as :func:`samples_of`.
    """
    sizes, parts = _shards(root), []
    for shard in sizes:
        columns = zip(*samples_of(root / shard), strict=True)
        arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, KINDS.values(), strict=False)]
        if arrays:
            names = pyarrow.DictionaryArray.from_arrays(np.zeros(len(arrays[0]), np.int32), [shard])
            parts.append(pyarrow.table([names, *arrays], names=["shard", *KINDS]))
    empty = pyarrow.schema({"shard": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), **KINDS}).empty_table()
    table = pyarrow.concat_tables([empty, *parts]).unify_dictionaries().combine_chunks()
    return table.replace_schema_metadata({"shards": json.dumps(sizes)})


def _metadata(index: Path) -> dict[bytes, bytes]:
    """What a recorded table says of itself; nothing where there is none that can be read."""
    try:
        return pyarrow.parquet.read_schema(index).metadata or {}
    except (OSError, pyarrow.ArrowException):
        return {}


def record(root: Path, index: Path, digest: str) -> None:
    """Write the table of a data set to ``index``, unless it is there for the same ``digest``.

    Raises:
        GenasError: as :func:`samples_of`.
    """
    if _metadata(index).get(b"digest") == digest.encode():
        return
    table = build(root)
    table = table.replace_schema_metadata({**table.schema.metadata, "digest": digest})
    part = index.with_suffix(".part")
    pyarrow.parquet.write_table(table, part)
    part.rename(index)


def load(root: Path, index: Path | None = None) -> pyarrow.Table:
    """The table that :func:`record` wrote; made by a pass over the headers where there is none.

    Raises:
        GenasError: the shards are not those that were recorded, the table is broken, or as :func:`samples_of`.
    """
    if index is None or not index.exists():
        return build(root)
    try:
        table = pyarrow.parquet.read_table(index, columns=["shard", *KINDS])
        recorded = json.loads(_metadata(index)[b"shards"])
    except (OSError, pyarrow.ArrowException, KeyError, ValueError) as error:
        raise GenasError(
            f"{index}: no index of shards ({reason(error)}); delete it and run the stage data@{index.parent.name}"
        ) from None
    if recorded != _shards(root):
        raise GenasError(f"{root}: not the shards that {index} has recorded; run the stage data@{index.parent.name}")
    return table


class Shards:
    """The images of one split.

    Attributes:
        labels: int64 (N,).
    """

    def __init__(self, root: Path, table: pyarrow.Table) -> None:
        self.root, self.members = root, table["member"].combine_chunks()
        shards = table["shard"].combine_chunks()
        self.shards, self.shard = shards.dictionary.to_pylist(), shards.indices.to_numpy()
        self.offsets, self.sizes = table["offset"].to_numpy(), table["size"].to_numpy()
        self.labels: np.ndarray = table["label"].to_numpy()

    def __len__(self) -> int:
        return len(self.labels)

    def origin(self, index: int) -> str:
        """Shard and member of an image, for messages."""
        return f"{self.root / self.shards[self.shard[index]]}: {self.members[index].as_py()}"

    def stem(self, index: int) -> str:
        """An image's name without folder and ending."""
        member: str = self.members[index].as_py()
        return member.rpartition("/")[2].partition(".")[0]

    def read(self, index: int) -> bytes:
        """An image's file; short where the shard was cut off since."""
        with (self.root / self.shards[self.shard[index]]).open("rb") as stream:
            stream.seek(self.offsets[index])
            return stream.read(self.sizes[index])


def open_split(root: Path, split: str, classes: list[str] | None = None, index: Path | None = None) -> Shards:
    """The images of a split.

    Args:
        root: folder of the data set.
        split: ``train`` or ``val``.
        classes: their names in label order, where they are known.
        index: the file that the data stage wrote, where it did.

    Raises:
        GenasError: a class beyond the class list, its shard and member named; or as :func:`load`.
    """
    table = load(root, index)
    dictionary = table["shard"].combine_chunks()
    of_split = np.array([name.startswith(f"{split}/") for name in dictionary.dictionary.to_pylist()], dtype=bool)
    images = Shards(root, table.filter(pyarrow.array(of_split[dictionary.indices.to_numpy()])))
    if classes is not None and len(beyond := np.flatnonzero(images.labels >= len(classes))):
        first = int(beyond[0])
        raise GenasError(f"{images.origin(first)}: class {images.labels[first]}, but there are {len(classes)} classes")
    return images

"""CIFAR's binary version as parquet: the python version is a pickle, which nobody should open who did not write it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.fetch.sets import Cifar
from genas.pipeline.fetch.unpack import readable

SIDE = 32
PIXELS = 3 * SIDE * SIDE


def _member(source: tarfile.TarFile, name: str) -> bytes:
    stream = source.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream.read()


def records(content: bytes, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 (N, 32, 32, 3), and labels, int64 (N,), of a binary file.

    Args:
        content: records of ``labels`` bytes, the last of which counts, and the channels one after another.
        labels: how many there are.

    Raises:
        ValueError: it is no whole number of records.
    """
    rows = np.frombuffer(content, dtype=np.uint8)
    if not len(rows) or len(rows) % (labels + PIXELS):
        raise ValueError(f"{len(rows)} bytes are no records of {labels + PIXELS}")
    rows = rows.reshape(-1, labels + PIXELS)
    return rows[:, labels:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), rows[:, labels - 1].astype(np.int64)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def _write(path: Path, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    pixels, labels = (np.concatenate(both) for both in zip(*parts, strict=True))
    table = pyarrow.table({"image": [_png(np.ascontiguousarray(one)) for one in pixels], "label": labels})
    pyarrow.parquet.write_table(table, path)


def convert(archive: Path, inside: str, cifar: Cifar, place: Path) -> None:
    """Write ``train.parquet``, ``test.parquet`` (``image``: PNG, ``label``), in the archive's order, and
    ``classes.txt`` into the folder ``place``, the tables last.

    Raises:
        GenasError: no such archive.
    """
    with readable(archive), tarfile.open(archive) as source:
        try:
            names = _member(source, f"{inside}/{cifar.names}").decode().split()
            splits = {
                split: [records(_member(source, f"{inside}/{name}"), cifar.labels) for name in files]
                for split, files in (("test", cifar.test), ("train", cifar.train))
            }
        except KeyError as error:
            raise GenasError(f"{archive}: {error.args[0]}") from None
        place.mkdir(parents=True, exist_ok=True)
        (place / "classes.txt").write_text("\n".join(names) + "\n")
        for split, parts in splits.items():
            _write(place / f".{split}.part", parts)
            (place / f".{split}.part").rename(place / f"{split}.parquet")

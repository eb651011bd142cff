"""Parquet sets: ``train.parquet`` and ``test.parquet`` (or ``val``), with ``image`` (bytes) and ``label`` (numbers)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute as pc
import pyarrow.parquet

from genas.models.errors import GenasError
from genas.pipeline.data.reading.classes import class_list
from genas.pipeline.data.reading.decoding import decode
from genas.pipeline.data.reading.files import line, reason

NAMES = {"train": ("train",), "val": ("test", "val")}
"""A split's files, of which the first that exists is read."""
BYTES = (pyarrow.types.is_binary, pyarrow.types.is_large_binary, pyarrow.types.is_fixed_size_binary)
NUMBERS = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_boolean)
"""What types the columns may have."""


def table_of(root: Path, split: str) -> Path:
    """The file of a split (``train`` or ``val``)."""
    paths = [root / f"{name}.parquet" for name in NAMES[split]]
    return next((path for path in paths if path.exists()), paths[0])


def rows_of(path: Path) -> int:
    """How many rows a table has.

    Raises:
        GenasError: no parquet file.
    """
    try:
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    except (pyarrow.ArrowException, OSError) as error:
        raise GenasError(f"{path}: not a readable parquet file ({reason(error)})") from None


def _column(path: Path, name: str) -> pyarrow.ChunkedArray:
    """One column, without nulls.

    Raises:
        GenasError: no parquet file, no such column, a null (its row named).
    """
    try:
        column = pyarrow.parquet.ParquetFile(path).read(columns=[name]).column(name)
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise GenasError(f"{path}: not a parquet file with image and label ({reason(error)})") from None
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        raise GenasError(f"{path} row {_first(column.is_null())}: {name} is null")
    return column


def _first(where: pyarrow.ChunkedArray) -> int:
    """The first row for which a column of booleans is true."""
    return int(np.flatnonzero(where.to_numpy())[0])


def images_of(path: Path) -> pyarrow.ChunkedArray:
    """The encoded images.

    Raises:
        GenasError: no such column, one of another type than bytes, a null.
    """
    column = _column(path, "image")
    if not any(of_kind(column.type) for of_kind in BYTES):
        raise GenasError(f"{path}: column image is of type {line(column.type, 60)}, expected bytes")
    return column


def labels_of(path: Path, classes: int = 0) -> np.ndarray:
    """The labels, int64 (N,).

    Args:
        path: the table.
        classes: how many there are; 0 where that is not known.

    Raises:
        GenasError: no such column, one of another type than numbers, or a label that is null, negative, a fraction or
            beyond the classes; the message names the row.
    """
    column = _column(path, "label")
    if not any(of_kind(column.type) for of_kind in NUMBERS):
        raise GenasError(f"{path}: column label is of type {line(column.type, 60)}, expected class numbers")
    numbers = column.to_numpy()
    known = f"expected 0 to {classes - 1}" if classes else "expected a class number"
    wrong = (numbers < 0) | (numbers != np.floor(numbers)) | (numbers >= (classes or 2**31))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise GenasError(f"{path} row {row}: label {numbers[row]}, {known}")
    labels: np.ndarray = numbers.astype(np.int64)
    return labels


def chosen(rows: np.ndarray | None, count: int, origin: Path) -> np.ndarray:
    """The numbers of the images that are wanted, by default all ``count``.

    Raises:
        GenasError: there are none, or fewer than ``rows`` asks for; names ``origin``.
    """
    if not count:
        raise GenasError(f"{origin}: no images")
    if rows is not None and len(rows) and rows.max() >= count:
        raise GenasError(f"{origin}: {count} images, fewer than were recorded; run the data set's stage again")
    return np.arange(count) if rows is None else rows


def read_split(root: Path, split: str, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 (N, H, W, 3), and labels, int64 (N,), of some rows by their numbers, by default of all.

    Raises:
        GenasError: as :func:`images_of` and :func:`labels_of`; an image that is broken or of another size than the
            first.
    """
    path = table_of(root, split)
    labels, encoded = labels_of(path, len(class_list(root))), images_of(path)
    rows = chosen(rows, len(encoded), path)
    labels, images = labels[rows], []
    for row, data in zip(rows, encoded.take(rows), strict=True):
        images.append(np.asarray(decode(data.as_py(), f"{path} row {row}")))
        if images[-1].shape != images[0].shape:
            height, width, _ = images[-1].shape
            raise GenasError(
                f"{path} row {row}: {width}x{height} pixels; images of different sizes; small-image data sets have "
                "one size"
            )
    return np.stack(images), labels


def check_tables(root: Path) -> None:
    """Check all labels of a set and the types of its columns; images are not decoded.

    Raises:
        GenasError: as :func:`images_of` and :func:`labels_of`; an image of no bytes; a held-out class that no training
            image has, where no class list tells how many there are.
    """
    classes = len(class_list(root))
    for split in NAMES:
        path = table_of(root, split)
        labels = labels_of(path, classes)
        classes = classes or int(labels.max(initial=-1)) + 1
        empty = pc.equal(pc.binary_length(images_of(path)), 0)
        if pc.any(empty).as_py():
            raise GenasError(f"{path} row {_first(empty)}: an image of no bytes")

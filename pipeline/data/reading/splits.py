"""Which images a supernet is trained on and which are held out for the search.

A split file is that of NAS-Bench-201 (AutoDL-Projects, ``configs/nas-benchmark``): JSON, a list of numbers by name,
each list behind the word ``int``. ``train`` and ``valid`` number training images. ``xvalid`` and ``xtest`` number the
validation images; then all training images train, and ``xvalid`` is held out.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from genas.models.errors import GenasError
from genas.pipeline.config import TrainingParams
from genas.pipeline.data.reading.files import json_of


class Split(NamedTuple):
    """Images by their numbers: ``train`` of the training images, ``held`` of those that ``source`` names (``train`` or
    ``val``)."""

    train: np.ndarray
    held: np.ndarray
    source: str


PARTS = {"valid": ("train", "valid"), "xvalid": ("xvalid", "xtest")}
"""What is held out, and the lists that its file has."""


def _numbers(path: Path, name: str, value: object, count: int) -> np.ndarray:
    match value:
        case ["int", list(texts)]:
            pass
        case _:
            raise GenasError(f'{path}: {name} is no list of numbers, expected ["int", [...]]')
    if not texts or not all(type(text) is int or (isinstance(text, str) and text.isdecimal()) for text in texts):
        raise GenasError(f"{path}: {name} is no list of numbers")
    numbers = np.array([int(text) for text in texts])
    if numbers.max() >= count:
        raise GenasError(f"{path}: {name} has number {numbers.max()}, but there are {count} images")
    return numbers


def read_split(path: Path, train: int, val: int) -> Split:
    """The split that a file says.

    Args:
        path: the file.
        train, val: how many images there are to train on and to validate on.

    Raises:
        GenasError: no such file, other lists than it may have, a number that no image has, or has twice.
    """
    content = json_of(path, "a split of images")
    held = next((name for name, lists in PARTS.items() if isinstance(content, dict) and set(content) == {*lists}), None)
    if held is None:
        raise GenasError(f"{path}: no split of images, expected {' or '.join(map(' and '.join, PARTS.values()))}")
    source, count = ("train", train) if held == "valid" else ("val", val)
    lists = {name: _numbers(path, name, content[name], count) for name in PARTS[held]}
    numbers, times = np.unique(np.concatenate([*lists.values()]), return_counts=True)
    if times.max() > 1:
        raise GenasError(f"{path}: image {numbers[times.argmax()]} is there twice")
    return Split(lists.get("train", np.arange(train)), lists[held], source)


def split_of(training: TrainingParams, path: Path | None, train: int, val: int, seed: int) -> Split:
    """The split that a supernet's settings ask for.

    Args:
        training: its settings.
        path: the data set's split file.
        train, val: as for :func:`read_split`.
        seed: of a random split.

    Raises:
        GenasError: as :func:`read_split`, or one of the two parts would be empty.
    """
    if training.split == "file":
        assert path is not None, "params.yaml was validated"
        return read_split(path, train, val)
    assert training.train_share is not None, "params.yaml was validated"
    order = np.random.default_rng([seed, 0]).permutation(train) if training.split == "random" else np.arange(train)
    cut = int(train * training.train_share)
    if not 0 < cut < train:
        raise GenasError(
            f"train_share: {training.train_share} of {train} images is {cut} to train on and {train - cut} to search "
            "with, expected some of each"
        )
    return Split(order[:cut], order[cut:], "train")

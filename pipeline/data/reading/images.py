"""Classification images: small ones resident in memory as arrays, large ones on disk, in folders or shards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from genas.models.errors import GenasError
from genas.pipeline.data.reading import tables
from genas.pipeline.data.reading.decoding import ENDINGS, decode
from genas.pipeline.data.reading.files import reason, subfolders, walk
from genas.pipeline.data.reading.layouts import layout_of
from genas.pipeline.data.reading.shards import Shards, open_split

if TYPE_CHECKING:
    from torch import Tensor

Transform = Callable[[Image.Image], "Tensor"]


class Images(NamedTuple):
    """``pixels``: uint8 (N, H, W, 3) RGB; ``labels``: int64 (N,)."""

    pixels: np.ndarray
    labels: np.ndarray


def _torchvision(root: Path, layout: str, split: str) -> Images:
    from torchvision import datasets

    kind = datasets.CIFAR10 if layout == "cifar10" else datasets.CIFAR100
    try:
        source = kind(str(root), train=split == "train")  # checks the published digest before it reads
    except (RuntimeError, OSError) as error:
        raise GenasError(f"{root}: {reason(error)}; GENAS_DOWNLOAD=1 allows the download") from None
    return Images(np.asarray(source.data), np.array(source.targets, dtype=np.int64))


def _shrunk(image: Image.Image, size: int) -> np.ndarray:
    scale = size / min(image.size)
    image = image.resize(
        (max(size, round(image.width * scale)), max(size, round(image.height * scale))), Image.Resampling.BOX
    )
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def load_images(
    root: Path, layout: str, split: str, size: int | None, rows: np.ndarray | None = None, index: Path | None = None
) -> Images:
    """The images of a split (``train`` or ``val``) in memory.

    Args:
        root: folder of the data set.
        layout: ``parquet``, ``cifar10``, ``cifar100``, ``folder``, ``webdataset``, or one that is offered.
        split: ``train`` or ``val`` (a parquet set's ``test`` is its ``val``).
        size: height and width that pictures of folders and shards are brought to, and the others have; None where
            they have one size of their own.
        rows: the numbers of those that are wanted; by default all.
        index: where the data stage recorded the members of shards.

    Raises:
        GenasError: an unreadable file, named; no images, or fewer than ``rows`` asks for; images of another size.
    """
    if layout == "parquet":
        found = Images(*tables.read_split(root, split, rows))
    elif layout in ("cifar10", "cifar100"):
        every = _torchvision(root, layout, split)
        found = Images(every.pixels[rows], every.labels[rows]) if rows is not None else every
    else:
        large = pictures(root, layout, split, index=index)
        chosen = tables.chosen(rows, len(large), root / split)
        shrunk = [_shrunk(large.picture(i), size) if size else np.asarray(large.picture(i)) for i in chosen]
        return Images(np.stack(shrunk), np.array([large.label(i) for i in chosen], dtype=np.int64))
    if size is not None and found.pixels.shape[1:3] != (size, size):
        height, width = found.pixels.shape[1:3]
        raise GenasError(f"{root}: images of {width}x{height} pixels, but pixels says {size}")
    return found


def number_of_classes(root: Path, layout: str) -> int:
    """Of a set that brings no list of them."""
    fixed = {"cifar10": 10, "cifar100": 100}
    return fixed[layout] if layout in fixed else 1 + int(tables.labels_of(tables.table_of(root, "train")).max())


def list_folder(root: Path, classes: list[str] | None = None) -> list[tuple[Path, int]]:
    """Files and labels of a folder of class folders.

    Args:
        root: the folder.
        classes: class names in label order; by default the folders' names in alphabetical order.

    Raises:
        GenasError: no such folder, one whose name is no class, or as :func:`genas.pipeline.data.reading.files.walk`.
    """
    if not root.is_dir():
        raise GenasError(f"{root}: no such folder")
    found = subfolders(root)
    classes = found if classes is None else classes
    labels = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in found if name not in labels]
    if unknown:
        others = f", nor are {len(unknown) - 1} others of {len(found)}" if unknown[1:] else ""
        raise GenasError(
            f"{root / unknown[0]}: folder is none of the {len(classes)} classes ({', '.join(classes[:3])}, ...){others}"
        )
    return [(path, labels[name]) for name in found for path in _image_files(root / name)]


def _image_files(folder: Path) -> list[Path]:
    files = [file for file in walk(folder) if file.lower().endswith(ENDINGS)]
    return [Path(file) for file in sorted(files, key=lambda file: file.split(os.sep))]  # the order of paths, sooner


class Pictures:
    """Images of a split with a transform from PIL image to tensor; arrays, files or shards, as the layout has it.

    A map-style data set for torch's loaders, which ask for no base class; the scans of the data do without torch.
    """

    def __init__(self, source: Images | Shards | list[tuple[Path, int]], transform: Transform | None = None) -> None:
        self.source, self.transform = source, transform

    def __len__(self) -> int:
        return len(self.source) if isinstance(self.source, list) else len(self.source.labels)

    def picture(self, index: int) -> Image.Image:
        """The image itself."""
        if isinstance(self.source, Images):
            return Image.fromarray(self.source.pixels[index])
        if isinstance(self.source, Shards):
            return decode(self.source.read(index), self.source.origin(index))
        path = self.source[index][0]
        return decode(path, str(path))

    def label(self, index: int) -> int:
        """Its class."""
        return int(self.source[index][1] if isinstance(self.source, list) else self.source.labels[index])

    def name(self, index: int) -> str:
        """Its file's name without the ending; its number where it has no file."""
        if isinstance(self.source, Images):
            return str(index)
        return self.source.stem(index) if isinstance(self.source, Shards) else self.source[index][0].stem

    def __getitem__(self, index: int) -> Any:
        assert self.transform is not None, "a transform is needed to read tensors"
        return self.transform(self.picture(index)), self.label(index)


def pictures(
    root: Path, layout: str, split: str, classes: list[str] | None = None, index: Path | None = None
) -> Pictures:
    """A split as a map-style data set: folders and shards stay on disk, small-image sets are resident.

    Args:
        root: folder of the data set.
        layout: its layout.
        split: ``train`` or ``val``.
        classes: class names in label order.
        index: where the data stage recorded the members of shards.

    Raises:
        GenasError: as :func:`load_images`, :func:`list_folder` and
            :func:`genas.pipeline.data.reading.shards.open_split`.
    """
    if (other := layout_of(layout)) is not None:
        return Pictures(other.images(root, split))
    if layout == "folder":
        return Pictures(list_folder(root / split, classes))
    if layout == "webdataset":
        return Pictures(open_split(root, split, classes, index))
    return Pictures(load_images(root, layout, split, None))


def evenly(count: int, limit: int = 2000) -> np.ndarray:
    """At most ``limit`` numbers of ``count``, evenly spaced."""
    return np.linspace(0, count - 1, min(limit, count), dtype=int)


def channel_statistics(
    data: Pictures, limit: int = 2000
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel in [0, 1] over at most ``limit`` evenly spaced images."""
    total, square, count = np.zeros(3), np.zeros(3), 0
    for index in evenly(len(data), limit):
        pixels = np.asarray(data.picture(int(index)), dtype=np.float64).reshape(-1, 3) / 255
        total, square, count = total + pixels.sum(0), square + (pixels**2).sum(0), count + len(pixels)
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 1e-8))
    rounded = [tuple(round(float(v), 4) for v in values) for values in (mean, std)]
    return rounded[0], rounded[1]  # type: ignore[return-value]


def to_tensor(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 (N, H, W, 3) as normalised float32 (N, 3, H, W) in channels-last memory."""
    import torch

    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    tensor = (tensor - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    return tensor.contiguous(memory_format=torch.channels_last)

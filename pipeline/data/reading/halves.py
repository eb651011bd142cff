"""What supernet training and search share: images to train on and others held out, normalised and resident, and how
whole batches of them are cropped and flipped where they are. Of a set that is too large for that the training half
stays in its files (:mod:`genas.pipeline.data.reading.inputs.streams`).

The paper trains the supernet on one half of CIFAR's training images and searches on the other; test images are never
seen by either. Which images these are is said by ``split`` (:mod:`genas.pipeline.data.reading.splits`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genas.pipeline.config import TrainingParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.images import (
    Images,
    Pictures,
    channel_statistics,
    evenly,
    load_images,
    number_of_classes,
    pictures,
    to_tensor,
)
from genas.pipeline.data.reading.layouts import dataset_root, index_of, split_file, validation_images
from genas.pipeline.data.reading.manifest import read_manifest
from genas.pipeline.data.reading.splits import Split, split_of

if TYPE_CHECKING:
    from genas.pipeline.data.reading.inputs.streams import Stream


class SearchData(NamedTuple):
    """Images (N, 3, H, W) float32, normalised, and labels (N,), of both halves; where there is a ``stream``, it has the
    whole training half, and ``train_images`` are those that a probe looks at."""

    train_images: Tensor
    train_labels: Tensor
    held_images: Tensor
    held_labels: Tensor
    num_classes: int
    stream: Stream | None = None


def memory_format(params: TrainingParams) -> torch.memory_format:
    """How images and weights lie in memory; changes speed, not meaning."""
    return torch.channels_last if params.channels_last else torch.contiguous_format


def load_search_data(
    context: Context, training: TrainingParams, train: int | None = None, held: int | None = None
) -> SearchData:
    """The two halves for the row's data set and the seed of its split, on the row's device, shared as the supernet's
    ``training`` says.

    Args:
        context: the row.
        training: how its supernet is trained.
        train, held: how many images of each half are wanted, the first ones; by default all. No others are decoded.

    Raises:
        GenasError: the data set or its split is missing or unreadable, or one of the halves would be empty.
    """
    name = context.axes["dataset"]
    spec, root, manifest = context.params.data[name], dataset_root(context, name), read_manifest(context, name)
    counts = manifest["splits"]["train"], validation_images(spec.layout, manifest["splits"])
    split = split_of(training, split_file(spec), *counts, context.seed("split"))
    wanted = split._replace(train=split.train[:train], held=split.held[:held])
    classes = len(manifest["classes"]) or number_of_classes(root, spec.layout)
    if training.streamed is not None:
        return _streamed(context, training, manifest, split, wanted, classes)

    def load(source: str, *parts: np.ndarray) -> list[Images]:
        rows, places = np.unique(np.concatenate(parts), return_inverse=True)  # none is decoded twice
        found = load_images(root, spec.layout, source, spec.pixels, rows, index_of(context, name))
        ends = np.cumsum([len(part) for part in parts])[:-1]
        return [Images(found.pixels[part], found.labels[part]) for part in np.split(places, ends)]

    of_train = [evenly(counts[0]), wanted.train]
    if split.source == "train":
        looked_at, *parts = load("train", *of_train, wanted.held)
    else:
        looked_at, *parts = [*load("train", *of_train), *load(split.source, wanted.held)]
    mean, std = channel_statistics(Pictures(looked_at))
    halves: list[Tensor] = []
    for pixels, labels in parts:
        halves += [to_tensor(pixels, mean, std).contiguous(memory_format=memory_format(training))]
        halves += [torch.from_numpy(labels)]
    train_images, train_labels, held_images, held_labels = (half.to(context.device) for half in halves)
    return SearchData(train_images, train_labels, held_images, held_labels, classes)


def _streamed(
    context: Context, training: TrainingParams, manifest: dict[str, Any], split: Split, wanted: Split, classes: int
) -> SearchData:
    """The training half as a stream, and the images of both that are ``wanted`` in memory, as evaluation has them."""
    # Seconds to import, for few supernets.
    from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform, preprocessing_of, train_transform
    from genas.pipeline.data.reading.inputs.streams import Chosen, Stream

    name = context.axes["dataset"]
    spec, params = context.params.data[name], training.streamed
    assert params is not None, "images are streamed"
    assert spec.pixels is not None, "params.yaml was validated"
    read = partial(
        pictures,
        dataset_root(context, name),
        spec.layout,
        classes=manifest["classes"] or None,
        index=index_of(context, name),
    )
    train = read(split="train")
    pixels = preprocessing_of(train, params, spec.pixels)
    source = Chosen.of(train, split.train, train_transform(params, training.flip, pixels))
    stream = Stream(source, params.workers, context.device, memory_format(training))
    evaluated = evaluation_transform(pixels)
    held = stream.plain(train if split.source == "train" else read(split=split.source), wanted.held, evaluated)
    return SearchData(*stream.plain(train, wanted.train, evaluated), *held, classes, stream)


class Augmentation(NamedTuple):
    """Random crops after zero padding, and flips: for each of n images its top and left (n,) and whether (n,)."""

    padding: int
    top: Tensor
    left: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, images: Tensor, params: TrainingParams, generator: torch.Generator) -> Augmentation:
        """For images (N, C, H, W) at once, on their device."""
        count, device, padding = len(images), images.device, round(params.crop_padding * images.shape[2])
        top, left = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).to(device)
        mirrored = torch.rand(count, generator=generator).to(device) < (0.5 if params.flip else 0.0)
        return cls(padding, top, left, mirrored)

    def of(self, part: slice) -> Augmentation:
        """For some of the images."""
        return Augmentation(self.padding, self.top[part], self.left[part], self.mirrored[part])

    def __call__(self, images: Tensor) -> Tensor:
        """The batch (n, C, H, W), each image cropped and flipped its own way; its layout in memory stays."""
        n, _, height, width = images.shape
        dense = images.is_contiguous()
        rows = self.top[:, None] + torch.arange(height, device=images.device)
        columns = torch.arange(width, device=images.device).expand(n, width)
        columns = self.left[:, None] + torch.where(self.mirrored[:, None], columns.flip(1), columns)
        index = torch.arange(n, device=images.device)[:, None, None]
        padded = F.pad(images, [self.padding] * 4).permute(0, 2, 3, 1)
        images = padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return images.contiguous() if dense else images.contiguous(memory_format=torch.channels_last)

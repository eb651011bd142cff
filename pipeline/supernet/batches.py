"""The steps of an epoch: which images each has, cropped and flipped, from memory or from their files.

Order and augmentation depend only on (seed, epoch).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genas.pipeline.config import TrainingParams
from genas.pipeline.data.reading.halves import Augmentation, SearchData
from genas.pipeline.machine.data_parallel import share
from genas.pipeline.machine.distributed import size


class Batch(NamedTuple):
    """This process's share of a step: ``images`` (n, 3, H, W) and ``labels`` (n,) of the ``whole`` step's images, which
    begins when a share ``done`` of the epoch is."""

    images: Tensor
    labels: Tensor
    whole: int
    done: float


def training_images(data: SearchData) -> int:
    """How many images train."""
    return len(data.train_labels if data.stream is None else data.stream.source)


def random_labels(data: SearchData, seed: int) -> SearchData:
    """The data with a random class for each training image, the same in every epoch (RLNAS, Zhang et al., 2021).

    Held-out images keep their labels.
    """
    drawn = np.random.default_rng([seed, 7]).integers(data.num_classes, size=training_images(data))
    first = torch.from_numpy(drawn[: len(data.train_labels)]).to(data.train_labels.device)
    return data._replace(train_labels=first, stream=data.stream and data.stream.relabelled(drawn))


def batches(data: SearchData, params: TrainingParams, seed: int, epoch: int) -> Iterator[Batch]:
    """The steps of an epoch, without a last one that has less than two images for each process, for BatchNorm.

    Raises:
        GenasError: an image cannot be read.
    """
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 1, epoch]).generate_state(1)[0]))
    count = training_images(data)
    order = torch.randperm(count, generator=generator)
    parts = [slice(start, start + params.batch_size) for start in range(0, count, params.batch_size)]
    parts = [part for part in parts if len(order[part]) >= 2 * size()]
    if data.stream is not None:
        read = data.stream.batches([share(order[part]).tolist() for part in parts], seed, epoch)
        for part, (images, labels) in zip(parts, read, strict=True):
            yield Batch(images, labels, len(order[part]), part.start / count)
        return
    augmentation = Augmentation.draw(data.train_images, params, generator)
    order = order.to(data.train_images.device)
    for part in parts:
        index = order[part]
        images = share(augmentation.of(part)(data.train_images[index]))
        yield Batch(images, share(data.train_labels[index]), len(index), part.start / count)

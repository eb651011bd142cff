"""Steps of supernet training: ours against the plain writing of the official loop (``genas bench supernet``)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from genas.benchmarks import reference, workload
from genas.benchmarks.sides import Side, compare, take_turns
from genas.models.fast.gradients import quicken
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.config import TrainingParams
from genas.pipeline.data.reading.halves import Augmentation
from genas.pipeline.supernet.training import make_optimizer, train_step


def batches(count: int) -> Iterator[list[Tensor]]:
    """Augmented batches of the reference, over and over, in its own processless loader."""
    source = workload.digits()
    transform = reference.transforms(workload.MEAN, workload.STD, augment=True)
    images = reference.ImageSet(source.pixels[:count], source.labels[:count], transform)
    while True:
        yield from DataLoader(images, reference.BATCH, shuffle=True, drop_last=True)


def reference_side() -> Side:
    """One tensor after the other, image after image."""
    network, params = workload.supernet(channels_last=False), workload.supernet_params()
    optimizer = torch.optim.SGD(
        network.parameters(), params.learning_rate, momentum=params.momentum, weight_decay=params.weight_decay
    )
    network.train()
    source, norm = batches(1024), params.clip_norm
    assert norm is not None, "the paper clips by the norm"

    def step(genotype: Genotype) -> float:
        return reference.train_step(network, optimizer, next(source), genotype, norm)

    return step


def trainer(network: OneShot[Any], params: TrainingParams, images: int = 1024) -> Side:
    """What an epoch of the supernet stage does for a batch, on the network's device; gives its loss."""
    device = next(network.parameters()).device
    optimizer = make_optimizer(network.train(), params)
    data, generator = workload.halves(images, 64, device), torch.Generator().manual_seed(workload.SEED)
    augmentation = Augmentation.draw(data.train_images, params, generator)
    parts = itertools.cycle(slice(start, start + params.batch_size) for start in range(0, images, params.batch_size))

    def step(architecture: Architecture) -> Tensor:
        part = next(parts)
        batch = augmentation.of(part)(data.train_images[part])
        return train_step(network, optimizer, batch, data.train_labels[part], architecture, params)

    return step


def our_side() -> Side:
    """The paper's supernet, trained as by the stage."""
    step = trainer(quicken(workload.supernet()), workload.supernet_params())
    return lambda genotype: float(step(genotype))


def run(quick: bool = False) -> dict[str, Any]:
    """The ratio of the times of one step on the same path.

    Args:
        quick: fewer steps, under 50 s.
    """
    works = workload.architectures(8 if quick else 40)
    theirs, ours = take_turns([reference_side, our_side], works, "bench supernet")
    return {**compare(theirs, ours), "batch_size": reference.BATCH, "channels": 16}

"""Steps of training a cell's network: by quick gradients and by the framework's (``genas bench network``)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from genas.benchmarks import workload
from genas.benchmarks.sides import Side, compare, take_turns
from genas.models.fast.gradients import quicken
from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.network import GenasNetwork

WIDTH, LAYERS, PIXELS, BATCH = 16, 8, 128, 32
"""Those of profile ``mini``."""


def side(cells: list[Genotype], quick: bool, output_stride: int) -> Side:
    """A loss that needs no head: the mean square of the pooled features of the same images."""
    images = torch.randn(BATCH, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(workload.SEED))
    images = images.contiguous(memory_format=torch.channels_last)
    networks = {}
    for cell in cells:
        torch.manual_seed(workload.SEED)
        network = GenasNetwork(cell, WIDTH, LAYERS, num_classes=0, output_stride=output_stride).train()
        network = network.to(memory_format=torch.channels_last)
        networks[cell] = quicken(network) if quick else network

    def step(cell: Genotype) -> float:
        networks[cell].zero_grad()
        loss = networks[cell](images).square().mean()
        loss.backward()
        return loss.item()

    return step


def run(quick: bool = False, output_stride: int = 32) -> dict[str, Any]:
    """The ratio of the times of one step, without the optimizer's, on the same cell.

    Args:
        quick: fewer cells.
        output_stride: 32 as in classification and detection, 8 as in segmentation.
    """
    cells = workload.architectures(6 if quick else 30)
    theirs, ours = take_turns(
        [partial(side, cells, way, output_stride) for way in (False, True)], cells, "bench network"
    )
    apart = max(abs(own.result - one.result) / abs(one.result) for one, own in zip(theirs, ours, strict=True))
    return {**compare(theirs, ours), "losses_differ_by": apart, "output_stride": output_stride}

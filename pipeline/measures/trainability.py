"""Whether gradients keep their size from block to block of an untrained network: a part of AZ-NAS (Lee and Ham, CVPR
2024, Eq. 5 to 8); :mod:`genas.pipeline.measures.expressivity` tells of the others and of what differs.

A block through which nothing passes, and one that hands on what it gets, counts as one of gain 0; the official code
has not a number for the former and minus infinity for both.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.measures.expressivity import block_maps
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import initial_network

SMALLEST = 1e-6
"""Keeps the inverse finite (official code)."""


def gain(before: Tensor, after: Tensor) -> float:
    """The spectral norm of the mean over images and pixels of the outer products of gradients by a block's input and by
    its output, (N, D, h, w) and (N, C, h, w): by how much the block stretches what it hands back. 0 where the two are
    the same."""
    if before.shape == after.shape and before.equal(after):
        return 0.0
    one, two = (gradients.transpose(0, 1).flatten(1).double() for gradients in (before, after))
    return float(torch.linalg.matrix_norm(one @ two.T / two.shape[1], 2))


def evenness(stretched: float) -> float:
    """-s - 1 / s + 2 of a gain s, 0 where it is 1 and negative elsewhere."""
    return 2 - stretched - 1 / (stretched + SMALLEST)


def through(earlier: Tensor, later: Tensor, generator: torch.Generator) -> float:
    """The gain of the block that makes a map (N, C, H, W) of another one, of random signs sent back through it. Pixels
    that the block merges count as channels."""
    signs = 2.0 * torch.randint(2, later.shape, generator=generator) - 1
    if not (later.requires_grad and earlier.requires_grad):  # one of them is zeros
        return 0.0
    signs = signs.to(later)
    (before,) = torch.autograd.grad(later, earlier, signs, retain_graph=True, materialize_grads=True)
    return gain(F.pixel_unshuffle(before, before.shape[2] // signs.shape[2]), signs)


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The mean evenness over the blocks behind the stem, of ``zero_cost_images`` held-out images and signs drawn by the
    probe's seed, the same for all architectures."""
    images, generator = probe.images[: probe.params.zero_cost_images], torch.Generator().manual_seed(probe.seed)
    maps = block_maps(initial_network(probe, architecture).train(), images, architecture)
    gains = [through(earlier, later, generator) for earlier, later in pairwise(maps)]
    return {"trainability": sum(map(evenness, gains)) / len(gains)}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

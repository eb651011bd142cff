"""How many directions the maps of an untrained network use, and whether they grow from block to block: two of the four
parts of AZ-NAS (Lee and Ham, CVPR 2024, Eq. 1 to 4).

A block is the stem or a cell. The others are :mod:`genas.pipeline.measures.trainability` and the multiply-adds; the
paper adds the logarithms of the ranks by the four (``combine: log_rank``). Differences from ``compute_az_nas_score.py``
of cvlab-yonsei/AZ-NAS: the initial weights are the supernet's, not drawn anew after He; the images are held-out ones,
not Gaussian noise; and a map without variance has an entropy of 0, where there the score is minus infinity.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import hooked, initial_network

SMALLEST = 1e-8
"""Keeps the logarithm of a share finite (official code)."""


def block_maps(network: OneShot[Any], images: Tensor, architecture: Architecture) -> list[Tensor]:
    """The output (N, C, H, W) of the stem and of each cell."""
    maps: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        maps.append(output)

    blocks = [network.get_submodule("stem"), *network.get_submodule("cells").children()]
    with hooked(blocks, keep):
        network(images, architecture)
    return maps


def entropy(maps: Tensor) -> float:
    """Entropy (nats) of the principal components of a map (N, C, H, W): of the shares that the eigenvalues of the
    covariance of its channels, over images and pixels, have in their sum; 0 to ln C."""
    channels = maps.detach().transpose(0, 1).flatten(1).double()
    values = torch.linalg.eigvalsh(torch.atleast_2d(torch.cov(channels, correction=0))).clamp_min(0)
    total = values.sum()
    shares = values / total if total > 0 else torch.ones_like(total)
    return float(-(shares * (shares + SMALLEST).log()).sum())


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The sum of the blocks' entropies and, as ``progressivity``, their smallest increase from a block to the next; of
    ``zero_cost_images`` held-out images."""
    images = probe.images[: probe.params.zero_cost_images]
    with torch.no_grad():
        entropies = [
            entropy(maps) for maps in block_maps(initial_network(probe, architecture).train(), images, architecture)
        ]
    increases = [later - earlier for earlier, later in pairwise(entropies)]
    return {"expressivity": sum(entropies), "progressivity": min(increases)}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

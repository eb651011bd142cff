"""How many patterns of images the ReLUs of an untrained network tell apart (Peng et al., SWAP, ICLR 2024, Definitions
3.2 and 3.3, without the regularisation by size).

As ``src/metrics/swap.py`` of pym1024/SWAP with its 16 images, but of the supernet's initial weights alone, where that
averages over 32 draws.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import hooked, initial_network, relus

IMAGES = 16
"""At most, of ``zero_cost_images``: of many images nearly every unit has a pattern of its own, which counts units."""


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The number of different patterns over the images, on or off, that units of the ReLUs of maps have."""
    images = probe.images[: min(IMAGES, probe.params.zero_cost_images)]
    place = 2 ** torch.arange(len(images), device=images.device)
    patterns: list[Tensor] = []

    def see(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.dim() == 4:
            patterns.append((place @ (output > 0).flatten(1).long()).unique())

    network = initial_network(probe, architecture).train()
    with hooked(relus(network), see), torch.no_grad():
        network(images, architecture)
    return {"swap": float(len(torch.cat(patterns).unique())) if patterns else 0.0}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

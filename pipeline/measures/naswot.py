"""How differently an untrained network codes images (Mellor et al., Neural Architecture Search without Training, 2021).

The successor of the Jacobian covariance of the same authors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import hooked, initial_network, relus

SMALLEST = 1e-5
"""Stands for eigenvalues that vanish, so that networks which code all images alike have a finite score."""


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """log |det K|, K_ij the number of ReLUs that are on, or off, for both of the images i and j."""
    images = probe.images[: probe.params.zero_cost_images]
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        on = (output.detach() > 0).flatten(1).to(torch.float32)
        off = 1 - on
        kernel.add_((on @ on.T + off @ off.T).double())

    network = initial_network(probe, architecture).train()
    with hooked(relus(network), count), torch.no_grad():
        network(images, architecture)
    return {"naswot": float(torch.linalg.eigvalsh(kernel).clamp_min(SMALLEST).log().sum())}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

"""Synaptic flow (Tanaka et al., 2020) as a measure (Abdelfattah et al., Zero-Cost Proxies, 2021)."""

from __future__ import annotations

from copy import deepcopy

import torch

from models.oneshot import Architecture
from pipeline.config import MeasureParams
from pipeline.probe import BatchNorm, Probe
from pipeline.zero_cost import initial_network, weights


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """Logarithm of the sum of w dR/dw, where R sums the outputs of |w| for an image of ones, in double precision.

    BatchNorm before training, with mean 0 and variance 1, hardly does anything, which is what the measure asks for. The
    logarithm keeps the order and the size printable; 0 where nothing flows.
    """
    network = deepcopy(initial_network(probe)).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.reset_running_stats()
    ones = torch.ones(1, *probe.images.shape[1:], dtype=torch.float64, device=probe.images.device)
    chosen = weights(network, architecture)
    gradients = torch.autograd.grad(network(ones, architecture).sum(), chosen, materialize_grads=True)
    flow = sum(float((w.detach() * g).sum()) for w, g in zip(chosen, gradients, strict=True))
    return {"synflow": float(torch.tensor(flow, dtype=torch.float64).log1p())}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

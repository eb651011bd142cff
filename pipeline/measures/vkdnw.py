"""How evenly the Fisher information of an untrained network is spread over its weights (Tybl and Neumann, Training-free
NAS through Variance of Knowledge of Deep Network Weights, CVPR 2025).

The information is that of the first number of each tensor of parameters, as in the released code (ondratybl/VKDNW,
``compute_vkdnw_score.py``). In three places this differs from that code. It has the initial weights of the supernet and
held-out images, not weights drawn anew after He and Gaussian noise. BatchNorm has the batch's statistics, as constants,
where there it has the running ones of a new network, that is none. And the covariance of the softmax enters as
J' (diag p - p p') J, which is the Fisher information, where that code smooths p and multiplies J by a Cholesky factor
of the covariance that is not transposed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.base.operations import FactorizedReduce
from genas.pipeline.config import MeasureParams
from genas.pipeline.measures.jacov import constant_statistics
from genas.pipeline.probe.plain import BatchNorm, Probe
from genas.pipeline.probe.zero_cost import initial_network

SMALLEST = 1e-10
"""Keeps shares and their logarithms finite (official code)."""
DECILES = 9
"""The quantiles 0.1 to 0.9 of the eigenvalues."""


def _first_tap(convolution: nn.Conv2d, first: Tensor, output: Tensor) -> Tensor:
    """What the first weight of a convolution is multiplied with, (N, h, w): the first channel (N, H, W) of its input,
    padded, where the first tap of its kernel falls for each pixel of its output (N, C, h, w)."""
    assert not isinstance(convolution.padding, str)
    (rows, columns), (down, right) = convolution.padding, convolution.stride
    padded = F.pad(first, (columns, columns, rows, rows))[:, ::down, ::right]
    return padded[:, : output.shape[2], : output.shape[3]]


class Taps:
    """What the first numbers of parameters are multiplied with, (N, ...), and the outputs whose first channel they add
    to; filled by forward hooks on the modules of a path."""

    def __init__(self) -> None:
        self.outputs: list[Tensor] = []
        self.factors: list[list[Tensor]] = []

    def see(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        """A convolution, a linear layer or a BatchNorm."""
        first = inputs[0].detach()[:, 0]
        if isinstance(module, BatchNorm):
            variance, mean = torch.var_mean(first, correction=0)
            first = (first - mean) / (variance + module.eps).sqrt()
        elif isinstance(module, nn.Conv2d):
            first = _first_tap(module, first, output)
        tensors = dict(module.named_parameters(recurse=False))
        self.outputs.append(output)
        self.factors.append([first if name == "weight" else torch.ones_like(first) for name in tensors])


def jacobian(network: OneShot[Any], images: Tensor, architecture: Architecture) -> tuple[Tensor, Tensor]:
    """The derivatives of each image's logits by the first number of each tensor of parameters of a path, (N, classes,
    tensors) in double precision, and the logits (N, classes)."""
    taps, network = Taps(), network.only(architecture)
    for module in network.modules():
        if isinstance(module, FactorizedReduce):
            module.__class__ = FactorizedReduce  # the quick one does not call its convolutions
    modules = [inner for module in network.path_modules(architecture) for inner in module.modules()]
    with constant_statistics(network):
        for module in modules:
            if isinstance(module, nn.Conv2d | nn.Linear | BatchNorm):
                module.register_forward_hook(taps.see)
        logits = network(images, architecture)
    rows = []
    for of_class in logits.unbind(1):  # an image's logits depend on that image alone
        gradients = torch.autograd.grad(of_class.sum(), taps.outputs, retain_graph=True, materialize_grads=True)
        parts = [
            (gradient[:, 0] * factor).reshape(len(images), -1).sum(1)
            for gradient, factors in zip(gradients, taps.factors, strict=True)
            for factor in factors
        ]
        rows.append(torch.stack(parts, 1))
    return torch.stack(rows, 1).double(), logits.detach().double()


def fisher(derivatives: Tensor, logits: Tensor) -> Tensor:
    """The Fisher information (tensors, tensors), the mean over images of J' (diag p - p p') J."""
    p = logits.softmax(1)
    covariance = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return (derivatives.transpose(1, 2) @ covariance @ derivatives).mean(0)


def evenness(information: Tensor) -> float:
    """Entropy (nats) of the nine deciles of the eigenvalues, as shares of their sum: 0 to ln 9."""
    values = torch.linalg.eigvalsh(information).clamp_min(0)
    deciles = values.quantile(torch.arange(1, DECILES + 1, device=values.device, dtype=values.dtype) / (DECILES + 1))
    shares = deciles / (deciles.sum() + SMALLEST)
    return float(-(shares * (shares + SMALLEST).log()).sum())


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The number of tensors of parameters and, below one, the entropy of the information's spectrum in units of ln 10:
    who has more comes first, and among equals who has the larger entropy (VKDNW_single). Beside it, the entropy."""
    images = probe.images[: probe.params.zero_cost_images]
    derivatives, logits = jacobian(initial_network(probe, architecture), images, architecture)
    entropy = evenness(fisher(derivatives, logits))
    return {"vkdnw": derivatives.shape[2] + entropy / math.log(10), "vkdnw_entropy": entropy}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

"""How alike the directions are in which images move an untrained network's output: the first score of Mellor et al.
(Neural Architecture Search without Training, version 1, 2020; ``jacob_cov`` of Abdelfattah et al., 2021).

Three differences from ``foresight/pruners/measures/jacob_cov.py`` of the latter. BatchNorm has the batch's statistics,
but as constants, so that an image moves its own output alone: where a network ends with BatchNorm, as a DARTS supernet
does, the summed logits of a batch else depend on no image, and the score is one of rounding errors. The eigenvalues are
those of a symmetric matrix. And images that move nothing count as alike, where there the score is not a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import BatchNorm, Probe
from genas.pipeline.probe.zero_cost import hooked, initial_network

SMALLEST = 1e-5
"""Keeps the logarithm and the inverse finite (k of the official code)."""


@contextmanager
def constant_statistics(network: nn.Module) -> Iterator[None]:
    """Inside the block every BatchNorm normalises by the statistics of the batch that it sees, constants to a gradient;
    its own stay as they are."""

    def normalise(norm: nn.Module, inputs: tuple[Tensor], output: Any) -> Tensor:
        (x,) = inputs
        assert isinstance(norm, BatchNorm)
        variance, mean = torch.var_mean(x.detach(), (0, 2, 3), correction=0)
        return F.batch_norm(x, mean, variance, norm.weight, norm.bias, eps=norm.eps)

    network.eval()
    with hooked([module for module in network.modules() if isinstance(module, BatchNorm)], normalise):
        yield


def score(jacobian: Tensor) -> float:
    """-sum_i (ln(v_i + k) + 1 / (v_i + k)) over the eigenvalues v of the correlations between rows (n, pixels); at most
    -n, where no two of them have anything in common."""
    correlations = torch.corrcoef(jacobian.double()).nan_to_num(nan=1.0)
    values = torch.linalg.eigvalsh(correlations).clamp_min(0) + SMALLEST
    return -float((values.log() + 1 / values).sum())


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The score of the gradients of the summed logits by each of ``zero_cost_images`` held-out images."""
    images, network = (
        probe.images[: probe.params.zero_cost_images].clone().requires_grad_(),
        initial_network(probe, architecture),
    )
    with constant_statistics(network):
        logits = network(images, architecture)
    (jacobian,) = torch.autograd.grad(logits.sum(), images, materialize_grads=True)
    return {"jacov": score(jacobian.flatten(1))}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

"""What the measures that need no training have in common: the network before it, and a batch's gradients there.

They are taken of the supernet's initial weights. BatchNorm uses the batch's statistics, as in training; what that
leaves in its buffers is never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.oneshot import Architecture, OneShot
from pipeline.probe import Probe


def initial_network(probe: Probe) -> OneShot[Any]:
    """The supernet before training."""
    assert probe.initial is not None, "measures without training look at the initial weights"
    return probe.initial


def weights(network: OneShot[Any], architecture: Architecture) -> list[Tensor]:
    """The weights of a path's convolutions and classifier."""
    modules = (inner for module in network.path_modules(architecture) for inner in module.modules())
    return [module.weight for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]


def initial_gradients(probe: Probe, architecture: Architecture) -> Iterable[tuple[Tensor, Tensor]]:
    """Each weight of a path and the gradient of the cross-entropy of ``zero_cost_images`` held-out images by it."""
    network, count = initial_network(probe).train(), probe.params.zero_cost_images
    chosen = weights(network, architecture)
    loss = F.cross_entropy(network(probe.images[:count], architecture), probe.labels[:count])
    gradients = torch.autograd.grad(loss, chosen, materialize_grads=True)
    return [(weight.detach(), gradient) for weight, gradient in zip(chosen, gradients, strict=True)]

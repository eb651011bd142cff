"""What zero-cost measures, which ask for no training (Abdelfattah et al., Zero-Cost Proxies, 2021), have in common: the
network before it, what its modules hand on, and a batch's gradients there.

They are taken of the supernet's initial weights. BatchNorm uses the batch's statistics, as in training; what that
leaves in its buffers is never read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.pipeline.probe.plain import BatchNorm, Probe


def initial_network(probe: Probe, architecture: Architecture) -> OneShot[Any]:
    """The supernet before training, with one path alone; the measures of an architecture share it."""
    assert probe.initial is not None, "zero-cost measures look at the initial weights"
    if architecture not in probe.untrained:
        probe.untrained = {architecture: probe.initial.only(architecture)}
    return probe.untrained[architecture]


def weights(network: OneShot[Any], architecture: Architecture) -> list[Tensor]:
    """The weights of a path's convolutions and classifier."""
    modules = (inner for module in network.path_modules(architecture) for inner in module.modules())
    return [module.weight for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """Inside the block each module calls the forward hook: ``hook(module, inputs, output)``."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def relus(network: nn.Module) -> list[nn.ReLU]:
    """All of them, whether on a path or not."""
    return [module for module in network.modules() if isinstance(module, nn.ReLU)]


def initial_gradients(probe: Probe, architecture: Architecture) -> Iterable[tuple[Tensor, Tensor]]:
    """Each weight of a path and the gradient of the cross-entropy of ``zero_cost_images`` held-out images by it."""
    network, count = initial_network(probe, architecture).train(), probe.params.zero_cost_images
    chosen = weights(network, architecture)
    loss = F.cross_entropy(network(probe.images[:count], architecture), probe.labels[:count])
    gradients = torch.autograd.grad(loss, chosen, materialize_grads=True)
    return [(weight.detach(), gradient) for weight, gradient in zip(chosen, gradients, strict=True)]


def synaptic_flow(probe: Probe, network: OneShot[Any], architecture: Architecture) -> float:
    """Logarithm of 1 + the sum of w dR/dw, where R sums the outputs of |w| for an image of ones, in double precision.

    BatchNorm has mean 0 and variance 1, so that it hardly does anything, which is what the measure asks for. The
    logarithm keeps the order and the size printable; 0 where nothing flows.
    """
    positive = network.only(architecture).double().eval()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    for module in positive.modules():
        if isinstance(module, BatchNorm):
            module.reset_running_stats()
    ones = torch.ones(1, *probe.images.shape[1:], dtype=torch.float64, device=probe.images.device)
    chosen = weights(positive, architecture)
    gradients = torch.autograd.grad(positive(ones, architecture).sum(), chosen, materialize_grads=True)
    flow = sum(float((w.detach() * g).sum()) for w, g in zip(chosen, gradients, strict=True))
    return math.log1p(flow)

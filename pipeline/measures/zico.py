"""How large and how steady the gradients of an untrained network are (Li et al., ZiCo, ICLR 2023, Eq. 16).

As ``ZeroShotProxy/compute_zico.py`` of SLDGroup/ZiCo: the mean is of the gradients' sizes, the standard deviation that
of the signed gradients, not of their sizes as printed. It takes two batches of 128 training images, this the two halves
of ``zero_cost_images`` held-out ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import Probe
from genas.pipeline.probe.zero_cost import initial_network, weights

BATCHES = 2
"""Of which mean and standard deviation are taken (the paper's choice for its searches)."""


def steadiness(gradients: Sequence[Tensor]) -> float:
    """ln of the sum over a layer's weights of mean |g| / std g, over its gradients by batch; 0 where none of them
    varies. Weights whose gradient does not vary are left out."""
    batches = torch.stack([gradient.flatten() for gradient in gradients]).double()
    deviation = batches.std(0, correction=0)
    varies = deviation > 0
    total = float((batches.abs().mean(0)[varies] / deviation[varies]).sum())
    return float(torch.tensor(total).log()) if total else 0.0


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """Sum of :func:`steadiness` over the convolutions and the classifier, of the gradients of the cross-entropy."""
    network, count = initial_network(probe, architecture).train(), probe.params.zero_cost_images
    chosen = weights(network, architecture)
    batches = zip(probe.images[:count].chunk(BATCHES), probe.labels[:count].chunk(BATCHES), strict=True)
    losses = [F.cross_entropy(network(images, architecture), labels) for images, labels in batches]
    gradients = [torch.autograd.grad(loss, chosen, materialize_grads=True) for loss in losses]
    return {"zico": sum(steadiness(layer) for layer in zip(*gradients, strict=True))}


def scale(params: MeasureParams) -> float:
    """As it is; meant for rank sums."""
    return 1.0

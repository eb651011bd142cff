"""Top eigenvectors of a loss's Hessian by the power method, without the matrix (Yao et al., PyHessian, 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Eigenpair(NamedTuple):
    """An eigenvalue, and its unit eigenvector as tensors of the parameters' shapes."""

    value: float
    vector: list[Tensor]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def top_eigenpairs(
    loss: Tensor, parameters: Sequence[Tensor], count: int, iterations: int, generator: torch.Generator
) -> list[Eigenpair]:
    """The eigenpairs of largest absolute eigenvalue, largest first.

    Args:
        loss: a scalar that still has its graph.
        parameters: what the Hessian is taken by.
        count: how many pairs; each search stays orthogonal to the vectors already found.
        iterations: Hessian-vector products a pair, at least 1.
        generator: of the starting vectors, on the CPU.

    Returns:
        Pairs whose vectors point where the loss rises, so that their sign does not depend on the start.
    """
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    gradient = _flat(gradients)
    slope = gradient.detach()
    found: list[tuple[float, Tensor]] = []

    def unit(vector: Tensor) -> Tensor:
        for _, other in found:
            vector = vector - (vector @ other) * other
        return vector / vector.norm().clamp_min(torch.finfo(vector.dtype).tiny)

    for _ in range(count):
        image = torch.randn(slope.numel(), generator=generator).to(slope)
        for _ in range(iterations):
            vector = unit(image)
            image = _flat(
                torch.autograd.grad(gradient, parameters, vector, retain_graph=True, materialize_grads=True)
            ).detach()
        value, vector = float(vector @ image), unit(image)
        found.append((value, -vector if float(vector @ slope) < 0 else vector))
    sizes = [parameter.numel() for parameter in parameters]
    return [
        Eigenpair(value, [part.view_as(p) for part, p in zip(vector.split(sizes), parameters, strict=True)])
        for value, vector in found
    ]

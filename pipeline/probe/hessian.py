"""Top eigenvectors of a loss's Hessian, without the matrix: curvlinops' products in ARPACK's Lanczos iteration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

TOLERANCE = 1e-2
"""Of an eigenvalue, relative."""
LARGER = 3
"""Times the usual Lanczos vectors, in the second try of an iteration that did not converge."""


class NotConvergedError(ArithmeticError):
    """An iteration that did not end, twice."""


class Eigenpair(NamedTuple):
    """An eigenvalue, and its unit eigenvector as tensors of the parameters' shapes."""

    value: float
    vector: list[Tensor]


def top_eigenpairs(
    model: nn.Module,
    loss: nn.Module,
    parameters: Sequence[nn.Parameter],
    batch: tuple[Tensor, Tensor],
    count: int,
    iterations: int,
    generator: torch.Generator,
) -> list[Eigenpair]:
    """The eigenpairs of largest absolute eigenvalue, largest first.

    Args:
        model: predictions for inputs, from ``parameters`` among others.
        loss: one of the framework's, reduced to a mean.
        parameters: what the Hessian is taken by; those that the loss does not know have no part in any vector.
        batch: inputs and labels.
        count: how many pairs.
        iterations: restarts of the iteration, at most.
        generator: of the starting vector, on the CPU.

    Returns:
        Pairs whose vectors point where the loss rises, so that their sign does not depend on the start.

    Raises:
        NotConvergedError: the iteration did not converge, nor did one in a larger subspace.
    """
    # Both take seconds to import, and few need them.
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    inputs, labels = batch
    gradients = torch.autograd.grad(loss(model(inputs), labels), parameters, allow_unused=True)
    known = [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
    slope = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).cpu().numpy()
    operator = HessianLinearOperator(model, loss, known, [batch], check_deterministic=False, num_data=len(inputs))
    start = torch.randn(len(slope), generator=generator, dtype=torch.float64).numpy()
    matrix = operator.to_scipy()
    if count >= len(slope) - 1:  # too few numbers for the iteration
        values, vectors = np.linalg.eigh(matrix @ np.eye(len(slope)))
    else:
        larger = min(len(slope) - 1, LARGER * max(2 * count + 1, 20))  # ARPACK's own size, a few times
        for size in (None, larger):
            with suppress(ArpackNoConvergence):
                values, vectors = eigsh(matrix, count, v0=start, maxiter=iterations, tol=TOLERANCE, ncv=size)
                break
        else:
            raise NotConvergedError(f"the Hessian's eigenvectors did not converge in {iterations} restarts")
    sizes = [parameter.numel() for parameter in known]
    pairs = []
    for place in np.argsort(-np.abs(values))[:count]:
        vector = vectors[:, place] * (-1 if vectors[:, place] @ slope < 0 else 1)
        split = torch.from_numpy(np.ascontiguousarray(vector)).to(known[0]).split(sizes)
        parts = {id(parameter): part.view_as(parameter) for parameter, part in zip(known, split, strict=True)}
        pairs.append(Eigenpair(float(values[place]), [parts.get(id(p), torch.zeros_like(p)) for p in parameters]))
    return pairs

"""Flatness of the loss minimum under weight noise (Eq. 4): the paper's measure. The noise (Eq. 3) is that of
:mod:`genas.pipeline.probe.noise`; what is done here without a network, rating and the laboratory do without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genas.pipeline.config import MeasureParams
from genas.pipeline.measures import Array, mean_over

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture
    from genas.pipeline.probe.plain import Probe

EPSILON = 1e-5
"""Keeps the inverse finite (official tester_wlm.py)."""


def flatness(losses: Sequence[float] | Array, sigma: Sequence[float], alpha: float = 1.0) -> Any:
    """Eq. 4, with the inverse over the whole sum as the official code has it (the printed bracket is misplaced).

    Args:
        losses: mean validation loss under each perturbation; with more axes than one, of many at once.
        sigma: standard deviations of the perturbations, increasing.
        alpha: weight of the depth term |L(sigma_1) / sigma_1|.

    Returns:
        1 / (sum_i |dL_i / dsigma_i| + alpha |L_1 / sigma_1| + 1e-5); larger is flatter and deeper.
    """
    slopes = sum(abs((losses[i + 1] - losses[i]) / (sigma[i + 1] - sigma[i])) for i in range(len(sigma) - 1))
    return 1.0 / (slopes + alpha * abs(losses[0] / sigma[0]) + EPSILON)


def observe(probe: Probe, architecture: Architecture, part: slice, params: MeasureParams) -> Array:
    """Cross-entropy (nats) of each of n images at each sigma for each draw, (draws * sigmas, n), draws outermost."""
    import torch  # rating, which has no use for it, imports this module too

    from genas.pipeline.probe.noise import noises

    draws = noises(probe, architecture, params.flatness)
    losses = torch.cat([probe.outcomes(architecture, noise, part)[:, 0] for noise in draws])
    observed: Array = losses.double().cpu().numpy()
    return observed


def summarise(means: Array, params: MeasureParams) -> dict[str, Array]:
    """Flatness averaged over the draws, the mean loss at each sigma, and the standard error over the draws."""
    settings = params.flatness
    drawn = means.reshape(settings.draws, len(settings.sigma), *means.shape[1:])
    values = np.stack([flatness(losses, settings.sigma, settings.alpha) for losses in drawn])
    result = {"flatness": values.mean(0)}
    if settings.draws > 1:
        result["flatness_error"] = values.std(0, ddof=1) / np.sqrt(settings.draws)
    return result | {f"loss_{i}": loss for i, loss in enumerate(drawn.mean(0))}


def draw_losses(probe: Probe, architecture: Architecture, params: MeasureParams) -> list[list[float]]:
    """The mean losses at each sigma for each draw, (draws, sigmas), after a recalibration."""
    probe.recalibrate(architecture)
    means = mean_over(observe(probe, architecture, slice(None), params), params)
    return means.reshape(-1, len(params.flatness.sigma)).tolist()


def scale(params: MeasureParams) -> float:
    """beta of Eq. 5: 1 / sigma_1."""
    return 1.0 / params.flatness.sigma[0]

"""Flatness of the loss minimum under weight noise (Eq. 3 and 4): the paper's measure.

The noise of a weight depends only on (seed, draw, its name, step), never on which architectures were scored before,
and architectures that share a weight share its noise ("common random numbers").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.genotype import Genotype
from pipeline.config import FlatnessParams, MeasureParams
from pipeline.probe import Probe

EPSILON = 1e-5
"""Keeps the inverse finite (official tester_wlm.py)."""


def flatness(losses: Sequence[float], sigma: Sequence[float], alpha: float = 1.0) -> float:
    """Eq. 4, with the inverse over the whole sum as the official code has it (the printed bracket is misplaced).

    Args:
        losses: mean validation loss under each perturbation.
        sigma: standard deviations of the perturbations, increasing.
        alpha: weight of the depth term |L(sigma_1) / sigma_1|.

    Returns:
        1 / (sum_i |dL_i / dsigma_i| + alpha |L_1 / sigma_1| + 1e-5); larger is flatter and deeper.
    """
    slopes = sum(abs((losses[i + 1] - losses[i]) / (sigma[i + 1] - sigma[i])) for i in range(len(sigma) - 1))
    return 1.0 / (slopes + alpha * abs(losses[0] / sigma[0]) + EPSILON)


def steps(params: FlatnessParams) -> list[float]:
    """Standard deviation of the noise that each step draws.

    ``independent`` draws N(0, sigma_i) afresh for each i (Eq. 3); ``cumulative`` adds N(0, sigma_i - sigma_{i-1}) to
    the noise already there, as the official code does.
    """
    if params.noise == "independent":
        return list(params.sigma)
    return [b - a for a, b in zip((0.0, *params.sigma), params.sigma, strict=False)]


def standard_noise(shape: torch.Size, *key: object) -> Tensor:
    """N(0, 1) of a shape, a pure function of the key; float32 on the CPU."""
    seed = int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little") >> 1
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def perturbed_losses(probe: Probe, genotype: Genotype, draw: int) -> list[float]:
    """Validation loss of a recalibrated path under each perturbation; noise only where it can act, on the path."""
    params = probe.params.flatness
    parameters = probe.path_parameters(genotype)
    noise = {name: torch.zeros_like(p) for name, p in parameters.items()}
    losses = []
    for step, deviation in enumerate(steps(params)):
        for name, parameter in parameters.items():
            fresh = deviation * standard_noise(parameter.shape, probe.seed, draw, name, step).to(parameter.device)
            noise[name] = fresh if params.noise == "independent" else noise[name] + fresh
        with probe.perturbed(parameters, noise):
            losses.append(probe.evaluate(genotype)[0])
    return losses


def measure(probe: Probe, genotype: Genotype) -> dict[str, float]:
    """Flatness averaged over the draws, the mean loss at each sigma, and the standard error over the draws."""
    params = probe.params.flatness
    probe.recalibrate(genotype)
    drawn = [perturbed_losses(probe, genotype, draw) for draw in range(params.draws)]
    values = [flatness(losses, params.sigma, params.alpha) for losses in drawn]
    result = {"flatness": float(np.mean(values))}
    if params.draws > 1:
        result["flatness_error"] = float(np.std(values, ddof=1) / np.sqrt(params.draws))
    return result | {f"loss_{i}": float(loss) for i, loss in enumerate(np.mean(drawn, axis=0))}


def scale(params: MeasureParams) -> float:
    """beta of Eq. 5: 1 / sigma_1."""
    return 1.0 / params.flatness.sigma[0]

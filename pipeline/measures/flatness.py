"""Flatness of the loss minimum under weight noise (Eq. 3 and 4): the paper's measure.

The noise of a weight depends only on (seed, draw, its name, sigma), never on which architectures were scored before nor
on what other sigmas there are: architectures that share a weight share its noise, and so do lists that share a sigma
("common random numbers"). Without ``common`` it depends on the architecture too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import FlatnessParams, MeasureParams
from genas.pipeline.measures import Array, mean_over
from genas.pipeline.probe.hessian import top_eigenpairs
from genas.pipeline.probe.plain import Probe

EPSILON = 1e-5
"""Keeps the inverse finite (official tester_wlm.py)."""
Direction = Callable[[float], dict[str, Tensor]]
"""Standard noise of every perturbed parameter at a sigma."""


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


def positions(probe: Probe, architecture: Architecture, params: FlatnessParams) -> dict[str, nn.Parameter]:
    """The parameters that noise goes to, on the path where alone it can act: all, or those of the cells (Table 7)."""
    parameters = probe.path_parameters(architecture)
    if params.positions == "all":
        return parameters
    return {name: parameter for name, parameter in parameters.items() if name.startswith("cells.")}


def directions(
    probe: Probe, architecture: Architecture, parameters: dict[str, nn.Parameter], params: FlatnessParams
) -> list[Direction]:
    """Where each draw goes, as standard noise sigma by sigma.

    ``random`` is N(0, 1) for each number. ``hessian`` is an eigenvector of the validation loss, the top one for the
    first draw and so on, at the length sqrt(d) that noise of d numbers has: the two differ in direction alone.
    """
    if params.direction == "random":

        def noise_of(draw: int, name: str, sigma: float) -> Tensor:
            key, parameter = (probe.seed, draw, name, sigma), parameters[name]
            if not params.common:  # never needed again
                return standard_noise(parameter.shape, *key, str(architecture)).to(parameter.device)
            if key not in probe.standard_noise:
                drawn = standard_noise(parameter.shape, *key)
                probe.standard_noise[key] = drawn.to(parameter.device)
            return probe.standard_noise[key]

        return [
            lambda sigma, draw=draw: {name: noise_of(draw, name, sigma) for name in parameters}  # type: ignore[misc]
            for draw in range(params.draws)
        ]
    generator = torch.Generator().manual_seed(probe.seed)
    pairs = top_eigenpairs(
        probe.path(architecture),
        nn.CrossEntropyLoss(),
        list(parameters.values()),
        (probe.images[: params.hessian_images], probe.labels[: params.hessian_images]),
        params.draws,
        params.hessian_iterations,
        generator,
    )
    length = math.sqrt(sum(p.numel() for p in parameters.values()))
    vectors = [dict(zip(parameters, (length * part for part in pair.vector), strict=True)) for pair in pairs]
    return [lambda sigma, vector=vector: vector for vector in vectors]  # type: ignore[misc]


def perturbations(
    params: FlatnessParams, direction: Direction, parameters: Mapping[str, Tensor]
) -> Iterator[dict[str, Tensor]]:
    """The noise of each sigma in turn, by parameter; ``relative`` noise has the unit of each tensor's root mean
    square."""
    relative = params.magnitude == "relative"
    unit = {name: p.detach().square().mean().sqrt() if relative else 1.0 for name, p in parameters.items()}
    noise: dict[str, Tensor] = {}
    for sigma, deviation in zip(params.sigma, steps(params), strict=True):
        drawn = {name: deviation * unit[name] * standard for name, standard in direction(sigma).items()}
        if params.noise == "cumulative":
            drawn = {name: added + noise[name] if noise else added for name, added in drawn.items()}
        noise = drawn
        yield noise


def observe(probe: Probe, architecture: Architecture, part: slice, params: MeasureParams) -> Array:
    """Cross-entropy (nats) of each of n images at each sigma for each draw, (draws * sigmas, n), draws outermost."""
    parameters = positions(probe, architecture, params.flatness)
    rows = [
        probe.outcomes(architecture, perturbations(params.flatness, direction, parameters), part)[:, 0]
        for direction in directions(probe, architecture, parameters, params.flatness)
    ]
    return torch.cat(rows).double().cpu().numpy()


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

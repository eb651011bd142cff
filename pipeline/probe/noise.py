"""Noise on the weights of a path (Eq. 3): how long its steps are, where it goes, in which direction.

The noise of a weight depends only on (seed, draw, its name, sigma), never on which architectures were scored before nor
on what other sigmas there are: architectures that share a weight share its noise, and so do lists that share a sigma
("common random numbers"). Without ``common`` it depends on the architecture too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from genas.models.spaces.base.oneshot import Architecture
from genas.pipeline.config import FlatnessParams
from genas.pipeline.probe.hessian import top_eigenpairs
from genas.pipeline.probe.plain import Noise, Probe

Direction = Callable[[float], dict[str, Tensor]]
"""Standard noise of every perturbed parameter at a sigma."""


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


def noises(probe: Probe, architecture: Architecture, params: FlatnessParams) -> Iterator[Iterator[Noise]]:
    """For each draw, the noise of each sigma in turn."""
    parameters = positions(probe, architecture, params)
    for direction in directions(probe, architecture, parameters, params):
        yield perturbations(params, direction, parameters)

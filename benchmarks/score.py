"""Scoring a candidate by flatness (``genas bench score``): in the DARTS space ours against the plain writing of the
official evaluator; in NAS-Bench-201, of which there is none, one scorer against the scorer ``fast``."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from genas.benchmarks import reference, workload
from genas.benchmarks.sides import Side, compare, take_turns
from genas.models.errors import GenasError
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.darts.supernet import Supernet
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline import measures
from genas.pipeline.probe.fast import make_probe, settled

TOLERANCE = 1e-3
"""Largest relative difference of two scores that are called equal."""


def reference_side(images: int, recalibrate: int) -> Side:
    """Loaders, copies and all."""
    source = workload.digits()
    transform = reference.transforms(workload.MEAN, workload.STD, augment=False)
    parts = (slice(recalibrate), slice(recalibrate, recalibrate + images))
    train, held = (reference.ImageSet(source.pixels[part], source.labels[part], transform) for part in parts)
    network = workload.supernet(channels_last=False)
    sigma = workload.measures().flatness.sigma
    return lambda genotype: reference.score(network, genotype, train, held, sigma, workload.SEED)


def our_side(images: int, recalibrate: int, network: OneShot[Any] | None = None, **changed: Any) -> Side:
    """A probe, as a search has it, of the paper's supernet or another, on its device."""
    settings = workload.measures(images=images, recalibrate_images=recalibrate, **changed)
    network = network or workload.supernet()
    data = workload.halves(recalibrate, images, next(network.parameters()).device)
    probe = make_probe(network, data, settings, workload.SEED)

    def score(architecture: Architecture) -> float:
        return measures.measure("flatness", probe, architecture)["flatness"]

    return score


def our_side201(images: int, recalibrate: int, scorer: str, precision: str) -> Side:
    """The same of the laboratory's supernet."""
    return our_side(images, recalibrate, workload.nasbench201(), scorer=scorer, precision=precision)


def run(
    quick: bool = False, scorer: str = "", precision: str = "float32", space: str = Supernet.space
) -> dict[str, Any]:
    """The ratio of the times, and the largest relative difference of the scores.

    Args:
        quick: a quarter of the images and fewer candidates, under 50 s.
        scorer, precision: of our side, as in ``params.yaml``; without a name the quickest that runs here.
        space: ``darts`` or ``nasbench201``.

    Raises:
        GenasError: there is no such space, or in float32 the scores differ.
    """
    if space not in (Supernet.space, NasBench201.space):
        raise GenasError(f"bench score: no space {space!r}, expected {Supernet.space} or {NasBench201.space}")
    asked = workload.measures(scorer=scorer or "auto", precision=precision)
    scorer = settled(asked, space, torch.device("cpu")).scorer
    if space == Supernet.space:
        images, recalibrate, count, channels = *((128, 224, 3) if quick else (512, 896, 10)), 16
        works: list[Any] = list(workload.architectures(count))
        sides = [
            partial(reference_side, images, recalibrate),
            partial(our_side, images, recalibrate, scorer=scorer, precision=precision),
        ]
    else:
        images, recalibrate, count, channels = *((100, 128, 10) if quick else (400, 512, 50)), workload.CHANNELS201
        works = list(workload.cells(count))
        sides = [
            partial(our_side201, images, recalibrate, "fast", "float32"),
            partial(our_side201, images, recalibrate, scorer, precision),
        ]
    theirs, ours = take_turns(sides, works, "bench score")
    differences = [abs(mine.result / other.result - 1) for mine, other in zip(ours, theirs, strict=True)]
    if precision == "float32" and max(differences) > TOLERANCE:
        raise GenasError(f"bench score: scores differ by up to {max(differences):.2g}, expected {TOLERANCE}")
    return {
        **compare(theirs, ours),
        "largest_difference": max(differences),
        "images": images,
        "recalibrate_images": recalibrate,
        "sigmas": 3,
        "channels": channels,
        "space": space,
        "scorer": scorer,
        "precision": precision,
    }

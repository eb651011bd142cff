"""A path of a one-shot network with little work: what a search does a million times, apart from what it means.

The networks of :mod:`genas.models.spaces` say what a path computes; this package computes the same in fewer passes over
memory, to float tolerance, and leaves the network as it is. Each search space has a module here of its own name
(:attr:`genas.models.spaces.base.oneshot.OneShot.space`) with the function ``run_path``. Weights and BatchNorm
statistics come in as mappings, so perturbed weights need no copy of the network. Against the plain path

- one ReLU serves all edges that leave a node, where the plain path takes one per edge;
- BatchNorm with fixed statistics is folded into the convolution before it (Jacob et al., 2018, Section 3.2);
- 3x3 pooling on CPUs takes a maximum or a sum along rows, then along columns, over whole tensors;
- everything is channels-last, and sums are taken in place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from genas.models.fast.folded.normalisation import EPS, Calibrating, Folded, Normalisation, Weights
from genas.models.spaces.base.moments import Batch, Moments, Statistics, settled
from genas.models.spaces.base.oneshot import Architecture, OneShot

__all__ = ["EPS", "Calibrating", "Folded", "Moments", "Statistics", "Weights", "calibrate", "run_path"]


def run_path(network: OneShot[Any], architecture: Architecture, images: Tensor, norm: Normalisation) -> Tensor:
    """Logits (N, num_classes) of a path for images (N, in_chans, H, W), channels-last."""
    space = import_module(f"{__name__}.{network.space}")
    logits: Tensor = space.run_path(network, architecture, images, norm)
    return logits


def calibrate(
    network: OneShot[Any],
    architecture: Architecture,
    weights: Weights,
    batches: Iterable[Tensor],
    momentum: float | None,
) -> Statistics:
    """BatchNorm statistics of a path from batches of images, weights as given.

    Args:
        network: what the path runs through; its own statistics are neither read nor changed.
        architecture: the path.
        weights: the network's parameters by name.
        batches: images (N, in_chans, H, W), channels-last.
        momentum: None takes all values together; else each batch enters the running value with this share
            (:mod:`genas.models.spaces.base.moments`).
    """
    seen: defaultdict[str, list[Batch]] = defaultdict(list)
    with torch.no_grad():
        for images in batches:
            norm = Calibrating(weights)
            run_path(network, architecture, images, norm)
            for name, batch in norm.seen.items():
                seen[name].append(batch)
    return {name: settled(batches, momentum) for name, batches in seen.items()}

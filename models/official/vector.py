"""The weight vector of an architecture of the DARTS space as the official code builds it, with a slip of its own.

It is what :meth:`genas.models.spaces.darts.supernet.Supernet.weighted_vectors` stands for, in single precision and in
full length, because the last digits of the official angles come from that.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.supernet import Supernet, SupernetCell

PATHS = tuple(
    (source, *itertools.compress(range(2, target), through), target)
    for target in (5, 4, 3, 2)
    for source in (0, 1)
    for through in itertools.product((True, False), repeat=target - 2)
)
"""The 30 node paths of the weight vector in the official order (cand_evaluator.py:240-529)."""


def weight_vector(network: Supernet, genotype: Genotype, slip: bool = True) -> Tensor:
    """The official weight vector, float32, in the official order.

    With the official ``slip`` a dilated convolution's BatchNorm weight stands in the place of its bias as well (lines
    484-491).
    """
    parts: list[Tensor] = []
    device = network.classifier.weight.device
    for cell in network.cells:
        assert isinstance(cell, SupernetCell)
        edges = {(edge.source, edge.target): edge for edge in genotype.cell(cell.reduction)}
        channels = next(m for m in cell.preprocess1.modules() if isinstance(m, torch.nn.BatchNorm2d)).num_features
        walks = [list(itertools.pairwise(nodes)) for nodes in PATHS]
        for pair in (pair for walk in walks if set(walk) <= set(edges) for pair in walk):
            name, weights = edges[pair].operation, list(cell.operation(edges[pair]).parameters())
            if name.startswith("sep"):  # all convolutions come before the two BatchNorms
                weights = [weights[i] for i in (0, 1, 4, 5, 2, 3, 6, 7)]
            if name.startswith("dil") and slip:
                weights[-1] = weights[-2]
            fixed = [torch.full((channels, 3, 3), 1 / 9, device=device)] if "pool" in name else []
            parts += [*fixed, *weights] or [torch.eye(channels, device=device)]
    parts += network.stem.parameters()
    for cell in network.cells:
        assert isinstance(cell, SupernetCell)
        parts += [*cell.preprocess0.parameters(), *cell.preprocess1.parameters()]
    return torch.cat([part.detach().flatten() for part in [*parts, network.classifier.weight]])


def official_angle(initial: Supernet, trained: Supernet, genotype: Genotype) -> float:
    """The angle of RLNAS as the official code computes it, in radians in [0, pi]."""
    first, second = weight_vector(initial, genotype), weight_vector(trained, genotype)
    return float(torch.acos(F.cosine_similarity(first, second, dim=0)))

"""The angle between initial and trained weights of a path, the measure of RLNAS (Zhang et al., 2021).

The weight vector of an architecture concatenates, for each cell, all paths that lead from an input node to an
intermediate node (30 in a full cell), each as the weights of its edges, then stem, preprocessing and classifier once
(official cand_evaluator.py:240-529). Edges shared by paths repeat, so an edge counts as often as paths run through it:
``fixed`` sums dot products with those counts in double precision and never builds the vector. ``official`` builds it in
single precision, slip included, because its last digits are those of the official numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.genotype import NODES, Edge, Genotype
from models.supernet import Supernet, SupernetCell
from pipeline.config import MeasureParams
from pipeline.probe import Probe

PATHS = tuple(
    (source, *itertools.compress(range(2, target), through), target)
    for target in (5, 4, 3, 2)
    for source in (0, 1)
    for through in itertools.product((True, False), repeat=target - 2)
)
"""The 30 node paths of the weight vector in the official order (cand_evaluator.py:240-529)."""


def path_counts(edges: tuple[Edge, ...]) -> list[int]:
    """How many paths from an input node to any intermediate node run through each edge."""
    into = {0: 1, 1: 1}
    for node in NODES:
        into[node] = sum(into[edge.source] for edge in edges if edge.target == node)
    onward: dict[int, int] = {}
    for node in reversed(NODES):
        onward[node] = 1 + sum(onward[edge.target] for edge in edges if edge.source == node)
    return [into[edge.source] * onward[edge.target] for edge in edges]


def operation_weights(operation: nn.Module, name: str, channels: int) -> list[Tensor]:
    """The weights that an operation contributes, in double precision.

    Pooling stands as a constant kernel of 1/9 shaped (channels, 3, 3) before its BatchNorm; a skip connection of stride
    1 as the identity matrix of its channels.
    """
    own = [p.detach().double().flatten() for p in operation.parameters()]
    if "pool" in name:
        return [torch.full((channels * 9,), 1 / 9, dtype=torch.float64, device=own[0].device), *own]
    return own or [torch.eye(channels, dtype=torch.float64).flatten()]


def weighted_vectors(network: Supernet, genotype: Genotype) -> Iterator[tuple[int, Tensor]]:
    """(count, weights) pieces of the architecture's weight vector."""
    yield 1, torch.cat([p.detach().double().flatten() for p in network.stem.parameters()])
    for cell in network.cells:
        assert isinstance(cell, SupernetCell)
        for part in (cell.preprocess0, cell.preprocess1):
            yield 1, torch.cat([p.detach().double().flatten() for p in part.parameters()])
        edges = genotype.cell(cell.reduction)
        channels = next(m for m in cell.preprocess1.modules() if isinstance(m, nn.BatchNorm2d)).num_features
        for edge, count in zip(edges, path_counts(edges), strict=True):
            yield count, torch.cat(operation_weights(cell.operation(edge), edge.operation, channels))
    yield 1, network.classifier.weight.detach().double().flatten()


def angle(initial: Supernet, trained: Supernet, genotype: Genotype) -> float:
    """arccos of the cosine between the two weight vectors, in radians in [0, pi]."""
    dot = first = second = 0.0
    pieces = zip(weighted_vectors(initial, genotype), weighted_vectors(trained, genotype), strict=True)
    for (count, a), (_, b) in pieces:
        dot += count * float(a @ b)
        first += count * float(a @ a)
        second += count * float(b @ b)
    return math.acos(max(-1.0, min(1.0, dot / math.sqrt(first * second))))


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
    """The angle as the official code computes it, in radians."""
    first, second = weight_vector(initial, genotype), weight_vector(trained, genotype)
    return float(torch.acos(F.cosine_similarity(first, second, dim=0)))


def measure(probe: Probe, genotype: Genotype) -> dict[str, float]:
    """The angle in radians; a larger angle means faster convergence."""
    assert probe.initial is not None, "the angle compares with the initial weights"
    take = angle if probe.params.angle.version == "fixed" else official_angle
    return {"angle": take(probe.initial, probe.network, genotype)}


def scale(params: MeasureParams) -> float:
    """1 / pi brings the angle to [0, 1]."""
    return 1.0 / math.pi

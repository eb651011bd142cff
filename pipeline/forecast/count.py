"""What a network costs for an image, counted on the ``meta`` device, where nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.cost import fit_width
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.darts.supernet import Supernet
from genas.models.spaces.nasbench201.cell import random_cell
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline.config import Row
from genas.pipeline.forecast.work import Cost

SAMPLE = 16
"""Architectures over which the cost of a random path is averaged."""
CELLS = 4
"""Random cells that stand for one that a search has yet to find."""


class _Counter(TorchDispatchMode):
    """Adds up what kernels compute, by torch's own formulas, the bytes that they read and write, the maps that they
    make, and themselves; views are no kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.traffic = self.maps = self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            read, made = (
                sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
                for tree in (args, result)
            )
            formula = flop_registry.get(func.overloadpacket)
            self.flops += formula(*args, **(kwargs or {}), out_val=result) if formula else 0
            self.traffic, self.maps, self.calls = self.traffic + read + made, self.maps + made, self.calls + 1
        return result


def cost_of(forward: Callable[[Tensor], Any], network: nn.Module, size: tuple[int, int]) -> Cost:
    """What ``forward`` costs for one image of ``size`` (height, width); the network lies on the ``meta`` device.

    Convolutions and linear layers count as operations, as torch counts them; everything counts as traffic.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    image = torch.zeros(1, 3, *size, device="meta")
    network.eval()
    with torch.no_grad(), _Counter() as seen:
        forward(image)
    return Cost(seen.flops, seen.traffic, seen.calls, seen.maps, weights)


def mean(costs: Sequence[Cost]) -> Cost:
    """The mean of each number."""
    return Cost(*(float(value) for value in np.mean(costs, axis=0)))


def random_genotypes(count: int) -> list[Genotype]:
    """The same random cells every time."""
    rng = np.random.default_rng(0)
    return [random_genotype(rng) for _ in range(count)]


@cache
def path_cost(space: str, channels: int, cells: int, size: int, stem: str = "cifar") -> Cost:
    """A path of a supernet for ten classes, the mean over random ones; its ``weights`` are those of the whole supernet.

    Args:
        space: ``darts`` or ``nasbench201``.
        channels, cells: as the supernet has them.
        size: height and width of the image.
        stem: of a supernet of the DARTS space.
    """
    rng = np.random.default_rng(0)
    darts = space == "darts"
    with torch.device("meta"):
        network: Any = Supernet(10, channels, cells, stem=stem) if darts else NasBench201(10, channels, cells)
    paths = [(random_genotype if darts else random_cell)(rng) for _ in range(SAMPLE)]
    argument = "genotype" if darts else "cell"
    return mean([cost_of(partial(network, **{argument: path}), network, (size, size)) for path in paths])


def cells_of(row: Row) -> list[Genotype]:
    """A published cell itself; random ones for a cell that is yet to be found."""
    stage, _, name = row.cell.partition("/")
    return [zoo_genotype(name)] if stage == "zoo" else random_genotypes(CELLS)


@cache
def _width(macs: float, genotype: Genotype, layers: int, stem: str, size: int, classes: int) -> int:
    return fit_width(genotype, macs=macs, size=size, layers=layers, stem=stem, num_classes=classes)


def built(row: Row, genotype: Genotype, classes: int, auxiliary: bool) -> GenasNetwork:
    """The network of a row with a cell, on the ``meta`` device; a budget of multiply-adds is met by the width that
    meets it with the first of the row's cells."""
    width = row.width or _width(row.macs or 0, cells_of(row)[0], row.layers, row.stem, row.image_size, classes)
    with torch.device("meta"):
        return GenasNetwork(genotype, width, row.layers, classes, stem=row.stem, auxiliary=auxiliary)


def cell_cost(row: Row, genotype: Genotype, classes: int) -> Cost:
    """The network of a row with a cell, without its auxiliary head."""
    network = built(row, genotype, classes, False)
    return cost_of(network, network, (row.image_size, row.image_size))


@cache
def _network_cost(row: Row, classes: int) -> Cost:
    return mean([cell_cost(row, genotype, classes) for genotype in cells_of(row)])


def network_cost(row: Row, classes: int) -> Cost:
    """The network of a row, the mean over random cells where the cell is yet to be found."""
    return _network_cost(row if row.cell.startswith("zoo/") else row.model_copy(update={"cell": ""}), classes)

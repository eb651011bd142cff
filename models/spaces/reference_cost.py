"""The cost by which architectures are compared: that of one fixed network in each search space."""

from __future__ import annotations

from functools import singledispatch

from models.spaces.base.oneshot import Architecture
from models.spaces.darts.cost import Cost, imagenet_cost
from models.spaces.darts.genotype import Genotype
from models.spaces.nasbench201.cell import Cell201
from models.spaces.nasbench201.cost import nasbench201_cost


@singledispatch
def reference_cost(architecture: Architecture) -> Cost:
    """The network of the DARTS space is that of Table 2 (:func:`~models.spaces.darts.cost.imagenet_cost`), that of
    NAS-Bench-201 the benchmark's for CIFAR-10."""
    raise TypeError(f"no cost is known of a {type(architecture).__name__}")


reference_cost.register(Genotype, imagenet_cost)
reference_cost.register(Cell201, nasbench201_cost)

"""What the measures ask of a one-shot network, whatever its search space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

from torch import nn

from genas.models.spaces.base.cost import Cost
from genas.models.spaces.base.path_vector import Piece

Architecture: TypeAlias = Any
"""One path of a one-shot network, hashable: a :class:`~genas.models.spaces.darts.genotype.Genotype` or a
:class:`~genas.models.spaces.nasbench201.cell.Cell201`."""
Path = TypeVar("Path")


class OneShot(nn.Module, ABC, Generic[Path]):
    """A weight-sharing network, called with images and the path to run.

    The parameters of its searched cells have names that begin with ``cells.``

    Attributes:
        space: the name of its search space, and of the module in :mod:`genas.models.fast.folded` that runs a path
            quickly.
        stem_kind: what it begins with: ``cifar``, which keeps the resolution, or ``imagenet``, to stride 8.
    """

    space: ClassVar[str]
    stem_kind: str = "cifar"

    @abstractmethod
    def path_modules(self, path: Path) -> list[nn.Module]:
        """The modules that a path runs through."""

    def only(self, path: Path) -> Self:
        """A copy that runs this path and no other: the layers of all others are not in it."""
        kept = {inner for module in self.path_modules(path) for inner in module.modules()}
        layers = (module for module in self.modules() if next(module.children(), None) is None)
        absent = nn.Module()  # fails when it is called
        return deepcopy(self, {id(layer): absent for layer in layers if layer not in kept})

    @abstractmethod
    def weighted_vectors(self, path: Path) -> Iterator[Piece]:
        """The weight vector of a path, of which its angle is taken: see :mod:`genas.models.spaces.base.path_vector`."""

    @abstractmethod
    def reference_cost(self, path: Path) -> Cost:
        """What a path costs as the one network, fixed for the space, by which architectures are compared."""

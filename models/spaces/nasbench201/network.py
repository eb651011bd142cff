"""The networks of NAS-Bench-201 (Dong and Yang, 2020), the weight-sharing one of all architectures or that of one.

A network has three stages of equal cells, and between them residual blocks that halve the resolution and double the
channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genas.models.spaces.base.cost import Cost
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.oneshot import OneShot
from genas.models.spaces.base.operations import AvgPool3x3, ReLUConvBN
from genas.models.spaces.base.path_vector import Piece, flat, operation_weights, path_counts
from genas.models.spaces.nasbench201.cell import EDGES, NODES, OPERATIONS, Cell201
from genas.models.spaces.nasbench201.cost import nasbench201_cost


def _operation(name: str, channels: int, affine: bool) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return AvgPool3x3(1, 1)
    return ReLUConvBN(channels, channels, int(name[-1]), affine=affine)


class SearchCell(nn.Module):
    """A cell that holds the operations of all architectures, or of one."""

    def __init__(self, channels: int, cell: Cell201 | None, affine: bool) -> None:
        super().__init__()
        chosen = dict(zip(EDGES, cell.operations, strict=True)) if cell else {}
        self.channels = channels
        self.edges = nn.ModuleDict()
        for source, target in EDGES:
            names = [chosen[source, target]] if chosen else OPERATIONS
            held = {name: _operation(name, channels, affine) for name in names if name != "none"}
            self.edges[f"{source}->{target}"] = nn.ModuleDict(held)

    def operation(self, edge: Edge) -> nn.Module:
        """The module that ``edge`` selects."""
        choices = self.edges[f"{edge.source}->{edge.target}"]
        assert isinstance(choices, nn.ModuleDict)
        return choices[edge.operation]

    def forward(self, x: Tensor, edges: tuple[Edge, ...]) -> Tensor:
        """(N, C, H, W) to the same; a node that nothing reaches is zero."""
        states: list[Tensor | None] = [x, None, None, None]
        for edge in edges:
            source, before = states[edge.source], states[edge.target]
            out = self.operation(edge)(torch.zeros_like(x) if source is None else source)
            states[edge.target] = out if before is None else before + out
        return torch.zeros_like(x) if states[-1] is None else states[-1]


class ResidualReduction(nn.Module):
    """The residual block between two stages: (N, C, H, W) to (N, 2 C, H / 2, W / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(channels, 2 * channels, 3, 2)
        self.conv_b = ReLUConvBN(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


class NasBench201(OneShot[Cell201]):
    """A network of the space: the weight-sharing one of all architectures, or that of one.

    Args:
        num_classes: outputs of the classifier.
        channels: of the first stage (benchmark: 16).
        cells: in each stage (benchmark: 5).
        in_chans: channels of the images.
        cell: the one architecture that a stand-alone network has; none, and it is a supernet.
        affine: whether BatchNorm has weights in the cells; RLNAS's supernet has none there.
    """

    space = "nasbench201"

    def __init__(
        self,
        num_classes: int,
        channels: int = 16,
        cells: int = 5,
        in_chans: int = 3,
        cell: Cell201 | None = None,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.stem = nn.Sequential(nn.Conv2d(in_chans, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        for stage in range(3):
            if stage:
                self.cells.append(ResidualReduction(channels))
                channels *= 2
            self.cells.extend(SearchCell(channels, cell, affine) for _ in range(cells))
        self.head = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor, cell: Cell201 | None = None) -> Tensor:
        """Logits (N, num_classes) for images (N, in_chans, H, W).

        Args:
            x: the images.
            cell: the path; a stand-alone network has its own.
        """
        edges = self._of(cell).edges
        x = self.stem(x)
        for part in self.cells:
            x = part(x, edges) if isinstance(part, SearchCell) else part(x)
        return self.classifier(self.head(x).mean((2, 3)))

    def _of(self, cell: Cell201 | None) -> Cell201:
        chosen = cell or self.cell
        assert chosen is not None, "a supernet is given the architecture"
        return chosen

    def path_modules(self, cell: Cell201) -> list[nn.Module]:
        """The modules that ``cell`` runs through."""
        modules: list[nn.Module] = [self.stem]
        for part in self.cells:
            modules += [part.operation(edge) for edge in cell.edges] if isinstance(part, SearchCell) else [part]
        return [*modules, self.head, self.classifier]

    def weighted_vectors(self, cell: Cell201) -> Iterator[Piece]:
        """As RLNAS has it in this space (nas_bench_201/exps/angle/weight_angle.py). A cell's paths lead from node 0 to
        node 3; an edge counts with its convolution's weights, without BatchNorm, with a kernel of 1/9 for pooling, and
        not at all for a skip connection; what every architecture has counts once. Without a path there is no vector."""
        counts = path_counts(cell.edges, starts=(0,), ends=(NODES[-1],))
        if not any(counts):
            return
        yield 1, flat(self.stem)
        for part in self.cells:
            if not isinstance(part, SearchCell):
                yield 1, flat(part)
                continue
            for edge, count in zip(cell.edges, counts, strict=True):
                operation = part.operation(edge)
                if isinstance(operation, ReLUConvBN):
                    yield count, flat(operation[1])
                elif isinstance(operation, AvgPool3x3):
                    yield count, operation_weights(operation, edge.operation, part.channels)
        yield 1, flat(self.head, self.classifier)

    def reference_cost(self, cell: Cell201) -> Cost:
        """The cost of the benchmark's network for CIFAR-10."""
        return nasbench201_cost(cell)

"""The one-shot network: every operation on every edge, one path at a time (Section 3.1; Guo et al., SPOS, 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from genas.models.spaces.base.cost import Cost
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.oneshot import OneShot
from genas.models.spaces.base.operations import DENSE, OPERATIONS
from genas.models.spaces.base.path_vector import Piece, flat, operation_weights, path_counts
from genas.models.spaces.darts.cell import concatenate, preprocess, run_cell
from genas.models.spaces.darts.cost import IMAGENET_SHAPE, network_cost
from genas.models.spaces.darts.genotype import EDGES, NODES, PRIMITIVES, Genotype
from genas.models.spaces.darts.layout import edge_stride, is_reduction, require_stem
from genas.models.spaces.darts.stem import cifar_stem, imagenet_stems


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    """An operation as the supernet holds it: pooling is followed by BatchNorm, unlike in the retrained network."""
    operation = OPERATIONS[name](channels, stride, DENSE)
    return nn.Sequential(operation, nn.BatchNorm2d(channels)) if "pool" in name else operation


class SupernetCell(nn.Module):
    """A cell that holds all seven operations of all 14 edges."""

    join = staticmethod(concatenate)

    def __init__(self, in0: int, in1: int, channels: int, reduction: bool, reduction_before: bool) -> None:
        super().__init__()
        self.reduction, self.channels = reduction, channels
        self.preprocess0 = preprocess(in0, channels, reduction_before)
        self.preprocess1 = preprocess(in1, channels, False)
        self.edges = nn.ModuleDict(
            {
                f"{source}->{target}": nn.ModuleDict(
                    {name: _operation(name, channels, edge_stride(reduction, source)) for name in PRIMITIVES[1:]}
                )
                for source, target in EDGES
            }
        )

    def operation(self, edge: Edge) -> nn.Module:
        """The module that ``edge`` selects."""
        choices = self.edges[f"{edge.source}->{edge.target}"]
        assert isinstance(choices, nn.ModuleDict)
        return choices[edge.operation]

    def forward(self, s0: Tensor, s1: Tensor, edges: tuple[Edge, ...]) -> Tensor:
        inputs = self.preprocess0(s0), self.preprocess1(s1)
        return run_cell(*inputs, edges, lambda _, edge, x: self.operation(edge)(x), self.join)


class Supernet(OneShot[Genotype]):
    """The weight-sharing network of the DARTS space.

    Args:
        num_classes: outputs of the classifier.
        channels: C of the first cell, which doubles at each reduction (official: 16; on ImageNet RLNAS has 48).
        layers: cells, with reductions at one third and two thirds (official: 8; on ImageNet RLNAS has 14).
        in_chans: channels of the images.
        stem: ``cifar``, one convolution to 3 C channels that keeps the resolution; ``imagenet``, that of the network
            that a found cell becomes: three convolutions to stride 8, and a first cell that halves its older input.

    Raises:
        GenasError: an unknown stem, or an odd number of channels where the stem halves it.
    """

    space = "darts"

    def __init__(
        self, num_classes: int, channels: int = 16, layers: int = 8, in_chans: int = 3, stem: str = "cifar"
    ) -> None:
        super().__init__()
        require_stem(channels, stem)
        self.stem_kind = stem
        if stem == "imagenet":
            self.stem = nn.Sequential(*imagenet_stems(in_chans, channels))
            before, last, reduction_before = channels, channels, True
        else:
            self.stem = cifar_stem(in_chans, channels)
            before, last, reduction_before = 3 * channels, 3 * channels, False
        self.cells = nn.ModuleList()
        for index in range(layers):
            reduction = is_reduction(index, layers)
            channels *= 2 if reduction else 1
            self.cells.append(SupernetCell(before, last, channels, reduction, reduction_before))
            before, last, reduction_before = last, 4 * channels, reduction
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, x: Tensor, genotype: Genotype) -> Tensor:
        """Logits (N, num_classes) of the path ``genotype`` for images (N, in_chans, H, W)."""
        if self.stem_kind == "imagenet":
            s0 = self.stem[0](x)
            s1 = self.stem[1](s0)
        else:
            s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, genotype.cell(cell.reduction))  # type: ignore[arg-type]
        return self.classifier(s1.mean((2, 3)))

    def path_modules(self, genotype: Genotype) -> list[nn.Module]:
        """The modules that ``genotype`` runs through: stem, preprocessing, selected operations, classifier."""
        modules: list[nn.Module] = [self.stem]
        for cell in self.cells:
            assert isinstance(cell, SupernetCell)
            modules += [cell.preprocess0, cell.preprocess1]
            modules += [cell.operation(edge) for edge in genotype.cell(cell.reduction)]
        return [*modules, self.classifier]

    def weighted_vectors(self, genotype: Genotype) -> Iterator[Piece]:
        """A cell's paths lead from an input node to an intermediate node, 30 in a full cell (official
        cand_evaluator.py:240-529); stem, preprocessing and classifier count once."""
        yield 1, flat(self.stem)
        for cell in self.cells:
            assert isinstance(cell, SupernetCell)
            yield 1, flat(cell.preprocess0)
            yield 1, flat(cell.preprocess1)
            edges = genotype.cell(cell.reduction)
            for edge, count in zip(edges, path_counts(edges, starts=(0, 1), ends=NODES), strict=True):
                yield count, operation_weights(cell.operation(edge), edge.operation, cell.channels)
        yield 1, self.classifier.weight.detach().double().flatten()

    def reference_cost(self, genotype: Genotype) -> Cost:
        """The cost of the network of Table 2."""
        return network_cost(genotype, 224, **IMAGENET_SHAPE)

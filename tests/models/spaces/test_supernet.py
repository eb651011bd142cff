"""The supernet: every path of it, what a path touches, and that a path computes what its network would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.networks.published import zoo, zoo_genotype
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.darts.genotype import EDGES, PRIMITIVES, Genotype, random_genotype
from genas.models.spaces.darts.layout import STEMS
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.darts.supernet import Supernet, SupernetCell


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    torch.manual_seed(0)
    return Supernet(num_classes=5, channels=2, layers=5)


def images(size: int = 16) -> Tensor:
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))


def path(seed: int) -> Genotype:
    return random_genotype(np.random.default_rng(seed))


def test_it_holds_all_operations_on_all_edges(supernet: Supernet) -> None:
    assert len(supernet.cells) == 5
    for cell in supernet.cells:
        assert isinstance(cell, SupernetCell)
        for source, target in EDGES:
            for name in PRIMITIVES[1:]:
                operation = cell.operation(Edge(name, source, target))
                channels = cell.preprocess1[1].out_channels
                out = operation(torch.randn(2, channels, 8, 8))
                assert out.shape[2] == (4 if cell.reduction and source < 2 else 8)
                # Pooling is followed by BatchNorm in the supernet.
                last = list(operation.modules())[-1]
                assert isinstance(last, nn.Identity if out.shape[2] == 8 and "skip" in name else nn.BatchNorm2d)
    assert [cell.reduction for cell in supernet.cells] == [False, True, False, True, False]


@pytest.mark.parametrize("size", [16, 15, 9])
def test_every_path_gives_logits(supernet: Supernet, size: int) -> None:
    for seed in range(4):
        assert supernet(images(size), path(seed)).shape == (4, 5)


@pytest.mark.parametrize("name", [name for name, row in zoo().items() if row["genotype"]])
def test_published_cells_are_paths(supernet: Supernet, name: str) -> None:
    assert supernet(images(), zoo_genotype(name)).isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_path_gets_gradients(seed: int) -> None:
    supernet = Supernet(num_classes=5, channels=2, layers=3)
    genotype = path(seed)
    supernet(images(), genotype).square().sum().backward()
    touched = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    inside = {id(p) for module in supernet.path_modules(genotype) for p in module.parameters()}
    assert touched == {name for name, parameter in supernet.named_parameters() if id(parameter) in inside}
    assert len(touched) < len(list(supernet.parameters()))


def test_a_copy_of_one_path_has_nothing_else_and_is_no_part_of_the_supernet(supernet: Supernet) -> None:
    genotype = path(0)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    alone = supernet.only(genotype)
    inside = {id(p) for module in supernet.path_modules(genotype) for p in module.parameters()}
    assert set(dict(alone.named_parameters())) == {name for name, p in supernet.named_parameters() if id(p) in inside}
    expected = alone.only(genotype)(images(), genotype)
    with torch.no_grad():
        for parameter in alone.double().parameters():
            parameter.zero_()
    assert all(tensor.equal(before[name]) for name, tensor in supernet.state_dict().items())
    assert supernet(images(), genotype).equal(expected)


@pytest.mark.parametrize("stem", STEMS)
def test_a_path_computes_what_the_network_of_its_genotype_computes(stem: str) -> None:
    """The same weights in a stand-alone network; a path without pooling, after which only the supernet has a
    BatchNorm."""
    torch.manual_seed(0)
    supernet = Supernet(num_classes=5, channels=2, layers=5, stem=stem).eval()
    code = [i + 2 if 0 < i < 3 else i for i in path(3).encode()]  # pooling becomes skip or separable
    genotype = Genotype.decode(code)
    network = GenasNetwork(genotype, width=2, layers=5, num_classes=5, stem=stem).eval()
    if stem == "cifar":
        network.stem0.load_state_dict(supernet.stem.state_dict())
    else:
        network.stem0.load_state_dict(supernet.stem[0].state_dict())
        network.stem1.load_state_dict(supernet.stem[1].state_dict())
    network.classifier.load_state_dict(supernet.classifier.state_dict())
    for mine, its in zip(network.cells, supernet.cells, strict=True):
        assert isinstance(its, SupernetCell)
        mine.preprocess0.load_state_dict(its.preprocess0.state_dict())
        mine.preprocess1.load_state_dict(its.preprocess1.state_dict())
        for operation, edge in zip(mine.operations, genotype.cell(its.reduction), strict=True):
            operation.load_state_dict(its.operation(edge).state_dict())
    x = images(16 if stem == "cifar" else 70)  # maps of 9, 5 and 3 pixels
    torch.testing.assert_close(network(x), supernet(x, genotype))


@pytest.mark.parametrize("seed", range(2))
def test_the_stem_of_imagenet_is_a_part_of_every_path(seed: int) -> None:
    supernet = Supernet(num_classes=5, channels=2, layers=3, stem="imagenet")
    supernet(images(32), path(seed)).square().sum().backward()
    inside = {id(p) for module in supernet.path_modules(path(seed)) for p in module.parameters()}
    assert {id(p) for p in supernet.parameters() if p.grad is not None} == inside
    pieces = list(supernet.weighted_vectors(path(seed)))
    assert pieces[0][0] == 1
    assert len(pieces[0][1]) == sum(p.numel() for p in supernet.stem.parameters())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"stem": "photographs"}, "unknown stem 'photographs', expected one of imagenet, cifar"),
        ({"channels": 3, "stem": "imagenet"}, "width 3: the width is even, the first stem halves it"),
    ],
)
def test_a_stem_that_cannot_be_built_is_one_line(shape: dict[str, Any], message: str) -> None:
    with pytest.raises(GenasError, match=f"^{message}$"):
        Supernet(num_classes=5, **shape)


def test_the_size_on_imagenet() -> None:
    """RLNAS: 48 channels and 14 cells, the first of them behind stride 8."""
    sizes: list[int] = []
    with torch.device("meta"):
        supernet = Supernet(num_classes=1000, channels=48, layers=14, stem="imagenet")
        for cell in supernet.cells:
            cell.register_forward_hook(lambda _, __, out: sizes.append(out.shape[2]))
        assert supernet(torch.empty(2, 3, 224, 224), path(0)).shape == (2, 1000)
    assert sizes == [28] * 4 + [14] * 5 + [7] * 5
    assert supernet.classifier.in_features == 768


def test_the_logits_are_the_classifier_of_the_mean_of_the_last_cell(supernet: Supernet) -> None:
    seen: list[Tensor] = []
    handle = supernet.cells[-1].register_forward_hook(lambda _, __, out: seen.append(out))
    logits = supernet.eval()(images(), path(0))
    handle.remove()
    torch.testing.assert_close(logits, F.linear(seen[0].mean((2, 3)), *supernet.classifier.parameters()))


def test_it_builds_on_the_meta_device() -> None:
    with torch.device("meta"):
        out = Supernet(num_classes=10)(torch.empty(2, 3, 32, 32), path(0))
    assert out.is_meta
    assert out.shape == (2, 10)


def test_the_official_size() -> None:
    """16 channels and 8 cells: the widths of the cells, and the input of the classifier."""
    with torch.device("meta"):
        supernet = Supernet(num_classes=10)
    assert supernet.classifier.in_features == 256
    assert [cell.preprocess1[1].out_channels for cell in supernet.cells] == [16, 16, 32, 32, 32, 64, 64, 64]
    assert supernet.stem[0].out_channels == 48

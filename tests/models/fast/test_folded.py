"""The fast path through the supernet computes what the plain one does."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.fast.folded import Folded, calibrate, run_path
from genas.models.fast.pooling import avg_pool, max_pool
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.darts.genotype import PRIMITIVES, Genotype, random_genotype
from genas.models.spaces.darts.supernet import Supernet

Network = TypeVar("Network", bound=nn.Module)
CELL = ((0, 2), (1, 2), (0, 3), (2, 3), (1, 4), (3, 4), (2, 5), (4, 5))


def worn(network: Network) -> Network:
    """The network, its BatchNorm weights and biases moved away from 1 and 0."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
    return network


def supernet(stem: str = "cifar") -> Supernet:
    torch.manual_seed(0)
    return worn(Supernet(num_classes=5, channels=4, layers=3, stem=stem))


def images(count: int = 20, size: int = 16) -> Tensor:
    drawn = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def everywhere(operation: str) -> Genotype:
    edges = tuple(Edge(operation, *edge) for edge in CELL)
    return Genotype(edges, edges)


def recalibrated(network: OneShot[Any], path: Architecture, batches: tuple[Tensor, ...], momentum: float) -> None:
    """The plain way: modules run in training mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = momentum
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch, path)
    network.eval()


@pytest.mark.parametrize("size", [16, 13])
@pytest.mark.parametrize("operation", PRIMITIVES[1:])
def test_every_operation_in_every_place(operation: str, size: int) -> None:
    network, genotype = supernet(), everywhere(operation)
    batches = images(size=size).split(10)
    recalibrated(network, genotype, batches, 0.1)
    statistics = calibrate(network, genotype, weights(network), batches, 0.1)
    modules = dict(network.named_modules())
    for name, (mean, variance) in statistics.items():
        norm = modules[name]
        assert isinstance(norm, nn.BatchNorm2d)
        torch.testing.assert_close(mean, norm.running_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(variance, norm.running_var, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        expected = network(batches[0], genotype)
        found = run_path(network, genotype, batches[0], Folded(weights(network), statistics, torch.float32))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_whole_paths_also_with_other_weights_and_running_averages(seed: int) -> None:
    network, genotype = supernet(), random_genotype(np.random.default_rng(seed))
    batches = images().split(10)
    recalibrated(network, genotype, batches, 0.1)
    statistics = calibrate(network, genotype, weights(network), batches, 0.1)
    noise = {name: 0.05 * torch.randn_like(value) for name, value in weights(network).items()}
    own = weights(network)
    folded = Folded({name: value + noise[name] for name, value in own.items()}, statistics, torch.float32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = run_path(network, genotype, images(), folded)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(noise[name])
        expected = network(images(), genotype)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [64, 45])
@pytest.mark.parametrize("seed", range(3))
def test_whole_paths_behind_the_stem_of_imagenet(seed: int, size: int) -> None:
    network, genotype = supernet("imagenet"), random_genotype(np.random.default_rng(seed))
    batches = images(size=size).split(10)
    recalibrated(network, genotype, batches, 0.1)
    statistics = calibrate(network, genotype, weights(network), batches, 0.1)
    with torch.no_grad():
        expected = network(batches[0], genotype)
        found = run_path(network, genotype, batches[0], Folded(weights(network), statistics, torch.float32))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_near() -> None:
    network, genotype = supernet(), random_genotype(np.random.default_rng(0))
    statistics = calibrate(network, genotype, weights(network), images().split(10), None)
    exact, rough = (
        run_path(network, genotype, images().to(dtype), Folded(weights(network), statistics, dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert float((rough - exact).norm() / exact.norm()) < 0.05


def test_a_path_has_the_shapes_of_a_real_one_on_no_device() -> None:
    with torch.device("meta"):
        network = Supernet(num_classes=5, channels=4, layers=3)
    genotype = random_genotype(np.random.default_rng(0))
    own, batch = weights(network), torch.empty(2, 3, 16, 16, device="meta")
    statistics = calibrate(network, genotype, own, [batch], None)
    assert run_path(network, genotype, batch, Folded(own, statistics, torch.float32)).shape == (2, 5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 6), (1, 5), (2, 1)])
def test_pooling_is_the_framework_s(height: int, width: int, stride: int) -> None:
    x = torch.randn(2, 3, height, width).contiguous(memory_format=torch.channels_last)
    assert torch.equal(max_pool(x, stride), F.max_pool2d(x, 3, stride, padding=1))
    expected = F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
    torch.testing.assert_close(avg_pool(x, stride), expected)

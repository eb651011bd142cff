"""Quick gradients are the framework's, and the modules stay what they are for everybody else."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genas.models.fast.gradients import Average, Depthwise, Reduce, quicken
from genas.models.spaces.base.operations import AvgPool3x3, DepthwiseConv2d, FactorizedReduce
from genas.models.spaces.darts.genotype import random_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.darts.supernet import Supernet


def depthwise(kernel: int, stride: int, dilation: int) -> nn.Module:
    return DepthwiseConv2d(6, kernel, stride, dilation)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "5x5": lambda: depthwise(5, 1, 1),
    "5x5 of stride 2": lambda: depthwise(5, 2, 1),
    "dilated 3x3": lambda: depthwise(3, 1, 2),
    "dilated 3x3 of stride 2": lambda: depthwise(3, 2, 2),
    "3x3 dilated by 4": lambda: depthwise(3, 1, 4),
    "5x5 dilated by 4": lambda: depthwise(5, 1, 4),
    "3x3 dilated by 4, of stride 2": lambda: depthwise(3, 2, 4),
    "dilated 5x5": lambda: depthwise(5, 1, 2),
    "dilated 5x5 of stride 2": lambda: depthwise(5, 2, 2),
    "factorized reduction": lambda: FactorizedReduce(6, 8),
    "average": lambda: AvgPool3x3(1, 1),
}


def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, and the gradients by input and parameters of a weighted sum of it."""
    x = x.clone().requires_grad_()
    out = module(x)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), [x, *module.parameters()])]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("size", [(12, 12), (9, 8), (4, 7), (4, 4), (2, 2), (1, 1)])
@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_the_framework_s(name: str, size: tuple[int, int], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    plain = MODULES[name]().to(memory_format=layout)
    quick = quicken(nn.Sequential(copy.deepcopy(plain)))
    assert type(quick[0]) in (Average, Depthwise, Reduce)
    x = torch.randn(3, 6, *size).contiguous(memory_format=layout)
    for ours, theirs in zip(gradients(quick, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_double_precision_agrees_with_differences() -> None:
    module = quicken(nn.Sequential(depthwise(5, 1, 2))).double()
    x = torch.randn(2, 6, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def test_a_large_batch_of_many_channels_too() -> None:
    plain = DepthwiseConv2d(32, 5, 1, 1)
    quick = quicken(nn.Sequential(copy.deepcopy(plain)))
    x = torch.randn(20, 32, 32, 32)
    for ours, theirs in zip(gradients(quick, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_names_and_parameters_stay() -> None:
    plain = Supernet(num_classes=4, channels=2, layers=3)
    quick = quicken(copy.deepcopy(plain))
    assert [name for name, _ in quick.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert quick.state_dict().keys() == plain.state_dict().keys()
    kinds = {type(module) for module in quick.modules()}
    assert {Depthwise, Reduce} <= kinds
    assert FactorizedReduce not in kinds


def test_autocast_has_the_framework_s_own_gradients() -> None:
    quick = quicken(nn.Sequential(depthwise(5, 1, 1)))
    x = torch.randn(2, 6, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = quick(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float32


@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_networks_have_the_framework_s_gradients(output_stride: int) -> None:
    """Every operation, dilated by up to 8, on maps that not all dilations divide."""
    torch.manual_seed(0)
    genotype = random_genotype(np.random.default_rng(4))
    plain = GenasNetwork(genotype, 8, 6, num_classes=0, output_stride=output_stride)
    quick = quicken(copy.deepcopy(plain))
    assert {Depthwise, Reduce} <= {type(module) for module in quick.modules()}
    x = torch.randn(2, 3, 72, 104).contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(gradients(quick, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


def test_what_computes_cells_twice_stays_as_it_is() -> None:
    network = GenasNetwork(random_genotype(np.random.default_rng(0)), 8, 3, num_classes=0)
    network.set_grad_checkpointing()
    assert not {Depthwise, Reduce} & {type(module) for module in quicken(network).modules()}

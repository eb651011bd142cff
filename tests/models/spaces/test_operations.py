"""Every operation at every stride and size, and the atrous form against the strided one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.operations import (
    DENSE,
    OPERATIONS,
    AvgPool3x3,
    FactorizedReduce,
    Grid,
    MaxPool3x3,
    ReLUConvBN,
)
from genas.models.spaces.darts.genotype import PRIMITIVES
from genas.pipeline.config import REPOSITORY

CHANNELS = 6
NAMES = sorted(OPERATIONS)
ATROUS = Grid(atrous=True)


def randomised(module: nn.Module) -> nn.Module:
    """The module in evaluation mode with statistics and affine weights that are not those of a fresh one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return module.eval()


def images(height: int, width: int) -> Tensor:
    return torch.randn(2, CHANNELS, height, width, generator=torch.Generator().manual_seed(1))


def test_there_is_a_builder_for_every_operation_but_none() -> None:
    assert tuple(OPERATIONS) == PRIMITIVES[1:]


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (8, 5), (1, 1), (2, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_an_output_has_ceil_of_size_over_stride_pixels(name: str, stride: int, size: tuple[int, int]) -> None:
    operation = OPERATIONS[name](CHANNELS, stride, DENSE).eval()
    out = operation(images(*size))
    assert out.shape == (2, CHANNELS, *(-(-n // stride) for n in size))
    assert out.isfinite().all()


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (9, 6)])
@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_atrous_form_holds_the_strided_output_at_every_second_pixel(
    name: str, stride: int, rate: int, size: tuple[int, int]
) -> None:
    strided = randomised(OPERATIONS[name](CHANNELS, stride, DENSE))
    atrous = OPERATIONS[name](CHANNELS, stride, Grid(rate, True)).eval()
    atrous.load_state_dict(strided.state_dict())  # the same weights under the same names
    x = images(size[0] * rate, size[1] * rate)
    out = atrous(x)
    assert out.shape == x.shape
    # On a grid of spacing `rate` every rate-th pixel is an image of its own, which the strided form reads.
    torch.testing.assert_close(out[:, :, :: rate * stride, :: rate * stride], strided(x[:, :, ::rate, ::rate]))


@pytest.mark.parametrize("size", [16, 15, 13])
def test_a_chain_of_two_reductions_and_every_operation_keeps_to_the_grid(size: int) -> None:
    plan = [(name, stride) for name in NAMES for stride in ((2, 1) if "5x5" in name else (1,))]
    grid, strided, atrous = ATROUS, nn.Sequential(), nn.Sequential()
    for name, stride in plan:
        strided.append(OPERATIONS[name](CHANNELS, stride, DENSE))
        atrous.append(OPERATIONS[name](CHANNELS, stride, grid))
        grid = grid.after(stride)
    assert grid == Grid(4, True)
    atrous.load_state_dict(randomised(strided).state_dict())
    x = images(size, size)
    out = atrous.eval()(x)
    assert out.shape == x.shape
    torch.testing.assert_close(out[:, :, ::4, ::4], strided(x), rtol=1e-4, atol=1e-4)


def test_a_grid_that_takes_its_strides_never_spreads() -> None:
    assert DENSE.after(2) == DENSE
    assert (DENSE.step(2), ATROUS.step(2)) == (2, 1)
    assert ATROUS.after(2).after(1).after(2) == Grid(4, True)


def test_factorized_reduce_reads_even_and_odd_pixels() -> None:
    reduce = FactorizedReduce(1, 2)
    with torch.no_grad():
        reduce.conv1.weight.fill_(1.0)
        reduce.conv2.weight.fill_(1.0)
    reduce.bn = nn.Identity()
    x = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[[0.0, 2.0], [8.0, 10.0]], [[5.0, 7.0], [13.0, 15.0]]])[None]
    torch.testing.assert_close(reduce(x), expected)
    assert FactorizedReduce(5, 7)(torch.randn(2, 5, 9, 9)).shape == (2, 7, 5, 5)


def test_the_average_is_over_pixels_inside_the_image_only() -> None:
    x = images(5, 5)
    ones = torch.ones_like(x)
    torch.testing.assert_close(AvgPool3x3(1, 1)(ones), ones)
    torch.testing.assert_close(AvgPool3x3(1, 2)(ones), ones)
    torch.testing.assert_close(AvgPool3x3(1, 1)(x)[:, :, 0, 0], x[:, :, :2, :2].mean((2, 3)))
    torch.testing.assert_close(AvgPool3x3(1, 2)(x)[:, :, 0, 0], x[:, :, :3:2, :3:2].mean((2, 3)))


def test_the_maximum_never_sees_the_padding() -> None:
    x = -1 - images(5, 5).abs()
    for rate in (1, 2):
        assert (MaxPool3x3(1, rate)(x) < 0).all()


@pytest.mark.parametrize("name", [n for n in NAMES if "conv" in n])
def test_receptive_fields_are_those_of_the_names(name: str) -> None:
    """One pixel's influence reaches as far as kernel, dilation and repetition say, and no farther."""
    kernel = int(name[-1])
    reach = {"sep": 2 * (kernel // 2), "dil": 2 * (kernel // 2)}[name[:3]]
    operation = randomised(OPERATIONS[name](CHANNELS, 1, DENSE))
    x = torch.full((1, CHANNELS, 19, 19), 1.0, requires_grad=True)
    operation(x)[0, :, 9, 9].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    step = 1 if name.startswith("sep") else 2
    assert rows.tolist() == list(range(9 - reach, 10 + reach, step))


def test_relu_conv_bn_starts_with_the_relu() -> None:
    module = randomised(ReLUConvBN(CHANNELS, 4))
    x = images(3, 3)
    torch.testing.assert_close(module(x), module(F.relu(x)))
    assert module(x).shape == (2, 4, 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same(name: str) -> None:
    operation = randomised(OPERATIONS[name](CHANNELS, 2, DENSE))
    x = images(9, 8)
    torch.testing.assert_close(operation(x.contiguous(memory_format=torch.channels_last)), operation(x))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("grid", [DENSE, Grid(2, True)], ids=["dense", "atrous"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_in_sixteen_bits_are_near_those_in_float32(name: str, grid: Grid, stride: int) -> None:
    """With AVX-512, oneDNN's bfloat16 kernel for a wide, dilated depthwise convolution crashes or is wrong."""
    operation, generator = OPERATIONS[name](CHANNELS, stride, grid), torch.Generator().manual_seed(2)
    x = images(32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    wanted = torch.randn(operation(x).shape, generator=generator)
    gradients = []
    for sixteen in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=sixteen):
            out = operation(x)
        gradients.append(torch.autograd.grad((out * wanted).sum(), [x, *operation.parameters()]))
    for whole, half in zip(*gradients, strict=True):
        assert (half - whole).norm() <= 0.3 * whole.norm()


STEP = """
import torch
from genas.models.spaces.base.operations import FactorizedReduce
from genas.models.fast.gradients import quicken
for channels in range(1, 10):
    for change in (lambda module: module, quicken):
        for size in (8, 7):
            torch.manual_seed(0)
            module = change(torch.nn.Sequential(FactorizedReduce(channels, 6))).eval()
            module = module.to(memory_format=torch.channels_last)
            x = torch.randn(16, channels, size, size).contiguous(memory_format=torch.channels_last)
            gradients = []
            for dtype in (torch.float32, torch.float64):
                module.to(dtype).zero_grad()
                module(x.to(dtype)).square().mul(torch.linspace(0, 1, 6).view(1, 6, 1, 1)).sum().backward()
                gradients.append([one.grad.double().clone() for one in module.parameters()])
            for single, double in zip(*gradients, strict=True):
                torch.testing.assert_close(single, double, rtol=1e-3, atol=1e-3)
print("equal")
"""


@pytest.mark.parametrize("isa", ["AVX2", pytest.param("DEFAULT", marks=pytest.mark.slow)])
def test_a_reduction_of_few_channels_has_right_gradients_on_every_cpu(isa: str) -> None:
    """oneDNN's issue 6035: on AVX2 a strided 1x1 convolution of fewer than 8 channels corrupts the heap (abort, hang
    or wrong gradients)."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STEP], env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "equal"), done.stderr[-2000:]

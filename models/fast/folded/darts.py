"""A path of the DARTS supernet in few passes over memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.fast.folded.cell import State, run_nodes
from genas.models.fast.folded.normalisation import Normalisation
from genas.models.fast.pooling import avg_pool, max_pool
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.base.operations import AvgPool3x3, FactorizedReduce, MaxPool3x3
from genas.models.spaces.darts.genotype import NODES, Genotype
from genas.models.spaces.darts.supernet import Supernet, SupernetCell


def _conv_blocks(module: nn.Sequential, name: str, x: State, norm: Normalisation) -> Tensor:
    """(ReLU, depthwise, pointwise, BatchNorm) once or twice."""
    out = x.relu
    for first in range(0, len(module), 4):
        out = F.relu_(out) if first else out
        depthwise = module[first + 1]
        assert isinstance(depthwise, nn.Conv2d)
        weight = norm.weights[f"{name}.{first + 1}.weight"].to(out.dtype)
        out = F.conv2d(out, weight, None, depthwise.stride, depthwise.padding, depthwise.dilation, depthwise.groups)
        behind = f"{name}.{first + 3}"
        out = norm.finish(norm.convolve(out, f"{name}.{first + 2}", behind), behind)
    return out


def _factorized_reduce(module: FactorizedReduce, name: str, relu: Tensor, norm: Normalisation) -> Tensor:
    """Two pointwise convolutions, on the even and on the odd pixels, side by side."""
    half = module.conv1.out_channels
    even, odd = relu[:, :, ::2, ::2], relu[:, :, 1::2, 1::2]
    if odd.shape != even.shape:  # an odd size: the last odd pixel is outside, and zero
        odd = F.pad(odd, (0, even.shape[3] - odd.shape[3], 0, even.shape[2] - odd.shape[2]))
    parts = ((even, "conv1", slice(None, half)), (odd, "conv2", slice(half, None)))
    out = [
        norm.convolve(x.contiguous(memory_format=torch.channels_last), f"{name}.{conv}", f"{name}.bn", channels)
        for x, conv, channels in parts
    ]
    return norm.finish(torch.cat(out, 1), f"{name}.bn")


def _preprocess(module: nn.Module, name: str, relu: Tensor, norm: Normalisation) -> Tensor:
    if isinstance(module, FactorizedReduce):
        return _factorized_reduce(module, name, relu, norm)
    return norm.finish(norm.convolve(relu, f"{name}.1", f"{name}.2"), f"{name}.2")


def _operate(module: nn.Module, name: str, x: State, norm: Normalisation) -> Tensor:
    """An edge's output: ``x.value`` itself for an identity, else memory of its own."""
    if isinstance(module, nn.Identity):
        return x.value
    if isinstance(module, FactorizedReduce):
        return _factorized_reduce(module, name, x.relu, norm)
    assert isinstance(module, nn.Sequential)
    pool = module[0]
    if isinstance(pool, MaxPool3x3 | AvgPool3x3):
        pooled = (max_pool if isinstance(pool, MaxPool3x3) else avg_pool)(x.value, pool.stride)
        return norm.alone(pooled, f"{name}.1")
    return _conv_blocks(module, name, x, norm)


def _cell(
    cell: SupernetCell, name: str, inputs: tuple[Tensor, Tensor], edges: tuple[Edge, ...], norm: Normalisation
) -> Tensor:
    """A cell's output for the ReLU of its two inputs."""
    narrow = [
        _preprocess(cell.preprocess0, f"{name}.preprocess0", inputs[0], norm),
        _preprocess(cell.preprocess1, f"{name}.preprocess1", inputs[1], norm),
    ]

    def operate(edge: Edge, source: State) -> Tensor:
        module = f"{name}.edges.{edge.source}->{edge.target}.{edge.operation}"
        return _operate(cell.operation(edge), module, source, norm)

    return torch.cat(run_nodes(narrow, NODES, edges, operate), 1)


def _stem(network: Supernet, images: Tensor, norm: Normalisation) -> tuple[Tensor, Tensor]:
    """The ReLU of the two inputs of the first cell."""
    if network.stem_kind == "cifar":
        s1 = F.relu_(norm.finish(norm.convolve(images, "stem.0", "stem.1", padding=1), "stem.1"))
        return s1, s1

    def halve(x: Tensor, name: str, behind: str) -> Tensor:
        return F.relu_(norm.finish(norm.convolve(x, name, behind, padding=1, stride=2), behind))

    s0 = halve(halve(images, "stem.0.0", "stem.0.1"), "stem.0.3", "stem.0.4")
    return s0, halve(s0, "stem.1.1", "stem.1.2")


def run_path(network: Supernet, genotype: Genotype, images: Tensor, norm: Normalisation) -> Tensor:
    """Logits (N, num_classes) of a path for images (N, in_chans, H, W), channels-last."""
    s0, s1 = _stem(network, images, norm)
    for index, cell in enumerate(network.cells):
        assert isinstance(cell, SupernetCell)
        out = _cell(cell, f"cells.{index}", (s0, s1), genotype.cell(cell.reduction), norm)
        s0, s1 = s1, F.relu_(out) if index + 1 < len(network.cells) else out
    weights = norm.weights
    return F.linear(s1.float().mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"])

"""A path of a NAS-Bench-201 network in few passes over memory."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genas.models.fast.folded.cell import State, run_nodes
from genas.models.fast.folded.normalisation import Normalisation
from genas.models.fast.pooling import avg_pool
from genas.models.spaces.base.edge import Edge
from genas.models.spaces.nasbench201.cell import NODES, Cell201
from genas.models.spaces.nasbench201.network import NasBench201, ResidualReduction, SearchCell


def _convolve(relu: Tensor, name: str, norm: Normalisation, kernel: int, stride: int = 1) -> Tensor:
    """A ReLUConvBN whose ReLU is taken."""
    out = norm.convolve(relu, f"{name}.1", f"{name}.2", padding=kernel // 2, stride=stride)
    return norm.finish(out, f"{name}.2")


def _operate(edge: Edge, name: str, x: State, norm: Normalisation) -> Tensor:
    """An edge's output: ``x.value`` itself for a skip connection, else memory of its own."""
    if edge.operation == "skip_connect":
        return x.value
    if edge.operation == "avg_pool_3x3":
        return avg_pool(x.value, 1)
    return _convolve(x.relu, name, norm, int(edge.operation[-1]))


def _cell(name: str, x: Tensor, edges: tuple[Edge, ...], norm: Normalisation) -> Tensor:
    """A cell's output, of the shape of its input (N, C, H, W)."""

    def operate(edge: Edge, source: State) -> Tensor:
        return _operate(edge, f"{name}.edges.{edge.source}->{edge.target}.{edge.operation}", source, norm)

    return run_nodes([x], NODES, edges, operate)[-1]


def _reduce(name: str, x: Tensor, norm: Normalisation) -> Tensor:
    shortcut = F.conv2d(F.avg_pool2d(x, 2), norm.weights[f"{name}.shortcut.1.weight"].to(x.dtype))
    inner = F.relu_(_convolve(F.relu(x), f"{name}.conv_a", norm, 3, 2))
    return _convolve(inner, f"{name}.conv_b", norm, 3).add_(shortcut)


def run_path(network: NasBench201, cell: Cell201, images: Tensor, norm: Normalisation) -> Tensor:
    """Logits (N, num_classes) of a path for images (N, in_chans, H, W), channels-last."""
    x = norm.finish(norm.convolve(images, "stem.0", "stem.1", padding=1), "stem.1")
    for index, part in enumerate(network.cells):
        name = f"cells.{index}"
        if isinstance(part, SearchCell):
            x = _cell(name, x, cell.edges, norm)
        else:
            assert isinstance(part, ResidualReduction)
            x = _reduce(name, x, norm)
    x = F.relu_(norm.alone(x, "head.0"))
    return F.linear(x.float().mean((2, 3)), norm.weights["classifier.weight"], norm.weights["classifier.bias"])

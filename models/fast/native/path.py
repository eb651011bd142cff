"""A path of the supernet by way of compiled code: what :mod:`genas.models.fast.folded` computes, on one CPU core in
less time.

:func:`run_path` takes one image through the whole network after the other, so that its maps stay in the core's own
cache; :func:`calibrate` takes each step for a whole batch, as the statistics ask for. Several threads may call.
"""

from __future__ import annotations

import ctypes
import threading
from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.fast.folded import EPS, Statistics, Weights
from genas.models.fast.native.build import LANES, lanes_for, load
from genas.models.fast.native.program import Layout, Program, write
from genas.models.spaces.base.moments import Batch, Moments, settled
from genas.models.spaces.darts.genotype import NODES, Genotype
from genas.models.spaces.darts.supernet import Supernet

SPACES, STEMS = ("darts",), ("cifar",)
"""The search spaces whose operations ``blocks.c`` has, and the stems."""


class Scratch(threading.local):
    """Memory for maps, kept by each thread: fresh memory costs as much time as a small network."""

    floats = torch.empty(0)

    def of(self, size: int) -> Tensor:
        if len(self.floats) < size:
            self.floats = torch.empty(size)
        return self.floats


_scratch = Scratch()


def require(space: str, stem: str, device: torch.device) -> None:
    """Return if paths of a search space run here.

    Args:
        space: name of the search space.
        stem: what its network begins with.
        device: where weights and images are.

    Raises:
        GenasError: the space is not among :data:`SPACES`, the stem not among :data:`STEMS`, the device is no CPU, or no
            library can be made (:func:`genas.models.fast.native.build.load`).
    """
    if space not in SPACES:
        raise GenasError(f"scorer native knows {', '.join(SPACES)}, not the space {space}; choose scorer fast")
    if stem not in STEMS:
        raise GenasError(f"scorer native knows stem {', '.join(STEMS)}, not {stem}; choose scorer fast")
    if device.type != "cpu":
        raise GenasError(f"scorer native computes on a CPU, not on {device}; choose scorer fast")
    load(LANES)


def _library(network: Supernet, images: Tensor) -> ctypes.CDLL:
    require(network.space, network.stem_kind, images.device)
    return load(lanes_for(_channels(network)))


def _channels(network: Supernet) -> int:
    """C of a supernet's first cell."""
    return network.classifier.in_features // len(NODES) // 2 ** sum(bool(cell.reduction) for cell in network.cells)


def _program(network: Supernet, genotype: Genotype, images: Tensor, batch: bool) -> Program:
    """The program for images of this size."""
    if images.dtype != torch.float32:
        raise GenasError(f"scorer native computes in float32, not in {images.dtype}")
    _, in_chans, height, width = images.shape
    channels = _channels(network)
    layout = Layout(in_chans, channels, len(network.cells), height, width, lanes_for(channels))
    return write(genotype, layout, batch)


def _put_convolutions(program: Program, weights: Weights, scales: dict[str, Tensor], into: Tensor) -> None:
    """Lay out convolutions, those before a norm scaled by ``scales``."""
    for depthwise in program.depthwise:
        weight = weights[f"{depthwise.name}.weight"]
        window = weight[0].numel()
        place = into[depthwise.offset :][: window * depthwise.channels].view(window, depthwise.channels)
        place[:, : len(weight)] = weight.flatten(1).t()
    for point in program.pointwise:
        weight = weights[f"{point.name}.weight"]
        if point.norm in scales:
            weight = weight * scales[point.norm][point.start :][: len(weight)].view(-1, 1, 1, 1)
        # (N, depth, K, K) as (N, sources, depth): a window lies pixel by pixel, channels innermost
        rows = weight.permute(0, 2, 3, 1).reshape(len(weight), point.sources, -1)
        place = into[point.offset :][: point.sources * point.depth * point.columns]
        place = place.view(point.sources, point.depth, point.columns)
        place[:, : rows.shape[2], point.column : point.column + len(weight)] = rows.permute(1, 2, 0)


class Folded:
    """Weights and fixed statistics, laid out once for each program: what :class:`genas.models.fast.folded.Folded` is
    there.

    Args:
        weights: of the supernet, perhaps perturbed; float32.
        statistics: of every norm on the path.
        dtype: float32.
    """

    def __init__(self, weights: Weights, statistics: Statistics, dtype: torch.dtype = torch.float32) -> None:
        if dtype != torch.float32:
            raise GenasError(f"scorer native computes in float32, not in {dtype}")
        self.weights, self.statistics = weights, statistics
        self._laid_out: dict[int, tuple[Program, Tensor]] = {}

    def parameters(self, program: Program) -> Tensor:
        """What ``program`` reads, (program.parameters,)."""
        if id(program) not in self._laid_out:
            names = [norm.name for norm in program.norms]
            gamma, beta = (torch.cat([self.weights[f"{name}.{kind}"] for name in names]) for kind in ("weight", "bias"))
            means, variances = map(torch.cat, zip(*(self.statistics[name] for name in names), strict=True))
            scale = gamma * torch.rsqrt(variances + EPS)
            sizes = [len(self.statistics[name].mean) for name in names]
            scales, shifts = scale.split(sizes), (beta - means * scale).split(sizes)
            laid_out = torch.zeros(program.parameters)
            for norm, size, *parts in zip(program.norms, sizes, scales, shifts, strict=True):
                place = laid_out[norm.offset :][: 2 * norm.channels].view(2, norm.channels)
                place[0, :size], place[1, :size] = parts
            _put_convolutions(program, self.weights, dict(zip(names, scales, strict=True)), laid_out)
            self._laid_out[id(program)] = program, laid_out
        return self._laid_out[id(program)][1]


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).contiguous()


def run_path(network: Supernet, genotype: Genotype, images: Tensor, norm: Folded) -> Tensor:
    """Logits (N, num_classes) of a path for images (N, in_chans, H, W), best channels-last."""
    library, program = _library(network, images), _program(network, genotype, images, batch=False)
    parameters, pixels, arena = norm.parameters(program), _channels_last(images), _scratch.of(program.arena)
    classifier = norm.weights["classifier.weight"]
    last = program.features
    features = torch.empty(len(images), last.parts, last.channels)
    failed = library.run_images(
        program.steps.ctypes.data, len(program.steps), pixels.data_ptr(), len(images), arena.data_ptr(),
        parameters.data_ptr(), features.data_ptr(),
    )  # fmt: skip
    if failed:
        raise MemoryError("no memory for the rows of a map")
    real = features[:, :, : classifier.shape[1] // last.parts].flatten(1)
    return F.linear(real, classifier, norm.weights["classifier.bias"])


def _batch_parameters(program: Program, weights: Weights) -> Tensor:
    """What a program for batches reads and keeps its statistics in, (program.parameters,)."""
    laid_out = torch.zeros(program.parameters)
    for norm in program.norms:
        place = laid_out[norm.offset :][: 6 * norm.channels].view(6, norm.channels)
        for row, kind in ((2, "weight"), (3, "bias")):
            vector = weights[f"{norm.name}.{kind}"]
            place[row, : len(vector)] = vector
    _put_convolutions(program, weights, {}, laid_out)
    return laid_out


def calibrate(
    network: Supernet, genotype: Genotype, weights: Weights, batches: Iterable[Tensor], momentum: float | None
) -> Statistics:
    """BatchNorm statistics of a path from batches of images: see :func:`genas.models.fast.folded.calibrate`."""
    seen: defaultdict[str, list[Batch]] = defaultdict(list)
    programs: dict[int, tuple[Program, Tensor]] = {}
    with torch.no_grad():
        for images in batches:
            library, program = _library(network, images), _program(network, genotype, images, batch=True)
            if id(program) not in programs:
                programs[id(program)] = program, _batch_parameters(program, weights)
            parameters = programs[id(program)][1]
            pixels, arena = _channels_last(images), _scratch.of(program.arena * len(images))
            failed = library.run_batch(
                program.steps.ctypes.data, len(program.steps), pixels.data_ptr(), len(images), arena.data_ptr(),
                parameters.data_ptr(), EPS,
            )  # fmt: skip
            if failed:
                raise MemoryError("no memory for the rows of a map")
            for norm in program.norms:
                kept = parameters[norm.offset + 4 * norm.channels :][: 2 * norm.channels].view(2, norm.channels)
                moments = Moments(*kept[:, : len(weights[f"{norm.name}.weight"])].clone())
                seen[norm.name].append(Batch(moments, len(images) * norm.pixels))
    return {name: settled(batches, momentum) for name, batches in seen.items()}

"""A path of a supernet by way of compiled code: what :mod:`genas.models.fast.folded` computes, on one CPU core in less
time.

:func:`run_path` takes one image through the whole network after the other, so that its maps stay in the core's own
cache; :func:`calibrate` takes each step for a whole batch, as the statistics ask for. Several threads may call.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.fast.folded import EPS, Statistics, Weights
from genas.models.fast.folded.normalisation import learned
from genas.models.fast.native.build import LANES, lanes_for, load, multiplies_bfloat16
from genas.models.fast.native.program import Layout, Program
from genas.models.spaces.base.moments import Batch, Moments, settled
from genas.models.spaces.base.oneshot import Architecture, OneShot

SPACES, STEMS = ("darts", "nasbench201"), ("cifar",)
"""The search spaces, each with a module here of its name, whose operations ``blocks.c`` has, and the stems."""


class Scratch(threading.local):
    """Memory for maps, kept by each thread: fresh memory costs as much time as a small network."""

    floats = torch.empty(0)

    def of(self, size: int) -> Tensor:
        if len(self.floats) < size:
            self.floats = torch.empty(size)
        return self.floats


_scratch = Scratch()


def require(space: str, stem: str, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
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
    if dtype not in (torch.float32, torch.bfloat16):
        raise GenasError(f"scorer native computes in float32 or bfloat16, not in {dtype}")
    if dtype == torch.bfloat16 and not multiplies_bfloat16():
        raise GenasError("scorer native: no AVX512-BF16 here for bfloat16; choose precision float32 or scorer fast")


def _prepare(
    network: OneShot[Any], architecture: Architecture, images: Tensor, batch: bool, dtype: torch.dtype = torch.float32
) -> tuple[ctypes.CDLL, Program]:
    """The library and the program for images of this size."""
    require(network.space, network.stem_kind, images.device, dtype)
    if images.dtype != torch.float32:
        raise GenasError(f"scorer native takes images in float32, not in {images.dtype}")
    _, in_chans, height, width = images.shape
    space = import_module(f"genas.models.fast.native.{network.space}")
    channels: int = space.channels_of(network)
    cells, lanes = len([*network.get_submodule("cells").children()]), lanes_for(channels)
    layout = Layout(in_chans, channels, cells, height, width, lanes, narrow=dtype == torch.bfloat16)
    return load(lanes), space.write(architecture, layout, batch)


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
        shape = point.sources, point.depth, point.columns
        place = into[point.offset :][: math.prod(shape) // (2 if point.narrow else 1)]
        laid_out = torch.zeros(shape) if point.narrow else place.view(shape)
        laid_out[:, : rows.shape[2], point.column : point.column + len(weight)] = rows.permute(1, 2, 0)
        if point.narrow:
            pairs = laid_out.view(point.sources, point.depth // 2, 2, point.columns).transpose(2, 3)
            place.view(torch.bfloat16).view(pairs.shape).copy_(pairs)


class Folded:
    """Weights and fixed statistics, laid out once for each program: what :class:`genas.models.fast.folded.Folded` is
    there.

    Args:
        weights: of the supernet, perhaps perturbed; float32.
        statistics: of every norm on the path.
        dtype: in which products are taken, bfloat16 only where the CPU has it; all else is float32.
    """

    def __init__(self, weights: Weights, statistics: Statistics, dtype: torch.dtype = torch.float32) -> None:
        self.weights, self.statistics, self.dtype = weights, statistics, dtype
        self._laid_out: dict[int, tuple[Program, Tensor]] = {}

    def parameters(self, program: Program) -> Tensor:
        """What ``program`` reads, (program.parameters,)."""
        if id(program) not in self._laid_out:
            names = [norm.name for norm in program.norms]
            pairs = [learned(self.weights, name, self.statistics[name].mean) for name in names]
            gamma, beta = map(torch.cat, zip(*pairs, strict=True))
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


def run_path(network: OneShot[Any], architecture: Architecture, images: Tensor, norm: Folded) -> Tensor:
    """Logits (N, num_classes) of a path for images (N, in_chans, H, W), best channels-last."""
    library, program = _prepare(network, architecture, images, batch=False, dtype=norm.dtype)
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


def _size(network: OneShot[Any], name: str) -> int:
    """C of a norm."""
    norm = network.get_submodule(name)
    assert isinstance(norm, nn.BatchNorm2d)
    return norm.num_features


def _batch_parameters(program: Program, weights: Weights, sizes: Iterable[int]) -> Tensor:
    """What a program for batches reads and keeps the statistics of norms of these ``sizes`` in,
    (program.parameters,)."""
    laid_out = torch.zeros(program.parameters)
    for norm, size in zip(program.norms, sizes, strict=True):
        place = laid_out[norm.offset :][: 6 * norm.channels].view(6, norm.channels)
        place[2, :size], place[3, :size] = learned(weights, norm.name, torch.empty(size))
    _put_convolutions(program, weights, {}, laid_out)
    return laid_out


def calibrate(
    network: OneShot[Any],
    architecture: Architecture,
    weights: Weights,
    batches: Iterable[Tensor],
    momentum: float | None,
) -> Statistics:
    """BatchNorm statistics of a path from batches of images: see :func:`genas.models.fast.folded.calibrate`."""
    seen: defaultdict[str, list[Batch]] = defaultdict(list)
    programs: dict[int, tuple[Program, list[int], Tensor]] = {}
    with torch.no_grad():
        for images in batches:
            library, program = _prepare(network, architecture, images, batch=True)
            if id(program) not in programs:
                sizes = [_size(network, norm.name) for norm in program.norms]
                programs[id(program)] = program, sizes, _batch_parameters(program, weights, sizes)
            _, sizes, parameters = programs[id(program)]
            pixels, arena = _channels_last(images), _scratch.of(program.arena * len(images))
            failed = library.run_batch(
                program.steps.ctypes.data, len(program.steps), pixels.data_ptr(), len(images), arena.data_ptr(),
                parameters.data_ptr(), EPS,
            )  # fmt: skip
            if failed:
                raise MemoryError("no memory for the rows of a map")
            for norm, size in zip(program.norms, sizes, strict=True):
                kept = parameters[norm.offset + 4 * norm.channels :][: 2 * norm.channels].view(2, norm.channels)
                moments = Moments(*kept[:, :size].clone())
                seen[norm.name].append(Batch(moments, len(images) * norm.pixels))
    return {name: settled(batches, momentum) for name, batches in seen.items()}

"""A path of the supernet by way of compiled code: what :mod:`models.folded` computes, on one CPU core in less time.

:func:`run_path` takes one image through the whole network after the other, so that its maps stay in the core's own
cache; :func:`calibrate` takes each step for a whole batch, as the statistics ask for. Several threads may call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import starmap

import torch
import torch.nn.functional as F
from torch import Tensor

from models.errors import GenasError
from models.folded import EPS, Moments, Statistics, Weights
from models.genotype import Genotype
from models.native.build import lanes_for, load
from models.native.program import Layout, Program, write
from models.supernet import Supernet


class Scratch(threading.local):
    """Memory for maps, kept by each thread: fresh memory costs as much time as a small network."""

    floats = torch.empty(0)

    def of(self, size: int) -> Tensor:
        if len(self.floats) < size:
            self.floats = torch.empty(size)
        return self.floats


_scratch = Scratch()


def _program(network: Supernet, genotype: Genotype, images: Tensor, batch: bool) -> tuple[Program, int]:
    """The program for these images, and the lanes it is written for."""
    stem = network.stem[0]
    assert isinstance(stem, torch.nn.Conv2d)
    if images.device.type != "cpu" or images.dtype != torch.float32:
        raise GenasError(f"scorer native takes float32 images on a CPU, not {images.dtype} on {images.device}")
    channels = stem.out_channels // 3
    lanes = lanes_for(channels)
    layout = Layout(stem.in_channels, channels, len(network.cells), images.shape[2], images.shape[3], lanes)
    return write(genotype, layout, batch), lanes


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
    """Weights and fixed statistics, laid out once for each program: what :class:`models.folded.Folded` is there.

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
    program, lanes = _program(network, genotype, images, batch=False)
    parameters, pixels, arena = norm.parameters(program), _channels_last(images), _scratch.of(program.arena)
    classifier = norm.weights["classifier.weight"]
    last = program.features
    features = torch.empty(len(images), last.count, last.channels)
    failed = load(lanes).run_images(
        program.steps.ctypes.data, len(program.steps), pixels.data_ptr(), len(images), arena.data_ptr(),
        parameters.data_ptr(), features.data_ptr(),
    )  # fmt: skip
    if failed:
        raise MemoryError("no memory for the rows of a map")
    real = features[:, :, : classifier.shape[1] // last.count].flatten(1)
    return F.linear(real, classifier, norm.weights["classifier.bias"])


def calibrate(
    network: Supernet, genotype: Genotype, weights: Weights, batches: Iterable[Tensor], momentum: float | None
) -> Statistics:
    """BatchNorm statistics of a path from batches of images: see :func:`models.folded.calibrate`."""
    running: dict[str, Moments] = {}
    laid_out: dict[int, Tensor] = {}
    with torch.no_grad():
        for count, images in enumerate(batches, start=1):
            program, lanes = _program(network, genotype, images, batch=True)
            if id(program) not in laid_out:
                laid_out[id(program)] = parameters = torch.zeros(program.parameters)
                _put_convolutions(program, weights, {}, parameters)
            parameters = laid_out[id(program)]
            parts = [parameters[n.offset :][: 6 * n.channels].view(6, n.channels) for n in program.norms]
            for norm, part in zip(program.norms, parts, strict=True):
                for row, kind in ((2, "weight"), (3, "bias")):
                    part[row, : len(weights[f"{norm.name}.{kind}"])] = weights[f"{norm.name}.{kind}"]
            pixels, arena = _channels_last(images), _scratch.of(program.arena * len(images))
            failed = load(lanes).run_batch(
                program.steps.ctypes.data, len(program.steps), pixels.data_ptr(), len(images), arena.data_ptr(),
                parameters.data_ptr(), EPS,
            )  # fmt: skip
            if failed:
                raise MemoryError("no memory for the rows of a map")
            share = 1 / count if momentum is None else momentum
            for norm, part in zip(program.norms, parts, strict=True):
                new = Moments(*part[4:, : len(weights[f"{norm.name}.weight"])].clone())
                start = Moments(torch.zeros_like(new.mean), torch.ones_like(new.variance))
                old = running.get(norm.name, start)
                running[norm.name] = Moments(*(a.lerp(b, share) for a, b in zip(old, new, strict=True)))
    return running

"""What the measures see, in less time: the evaluations of :mod:`pipeline.probe` by way of :mod:`models.folded` or, as
scorer ``native``, of :mod:`models.native`.

The numbers agree with the plain probe's to float tolerance. What is saved beside the arithmetic: the images lie in
memory once, in the layout and type they are needed in; perturbed weights are handed over instead of written into the
network; measures of one architecture share its recalibration; and on a GPU nothing waits for the host before all
noises of an architecture are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models import folded, native
from models.folded import Statistics, Weights
from models.genotype import Genotype
from models.supernet import Supernet
from pipeline.config import MeasureParams
from pipeline.probe import BatchNorm, Noise, Probe, means, totals

if TYPE_CHECKING:
    from pipeline.search_data import SearchData

CPU_CHUNK = 64
"""Images at a time on a CPU: their maps stay in its caches (``docs/performance.md``)."""


def _folded(
    network: Supernet, genotype: Genotype, weights: Weights, statistics: Statistics, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    """What computes the logits of images."""
    return partial(folded.run_path, network, genotype, norm=folded.Folded(weights, statistics, dtype))


def _native(
    network: Supernet, genotype: Genotype, weights: Weights, statistics: Statistics, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    """What computes the logits of images, in C."""
    return partial(native.run_path, network, genotype, norm=native.Folded(weights, statistics, dtype))


class FastProbe(Probe):
    """A :class:`~pipeline.probe.Probe` that takes less time; its network's weights must stay as they are."""

    def __init__(
        self, network: Supernet, data: SearchData, params: MeasureParams, seed: int, initial: Supernet | None = None
    ) -> None:
        super().__init__(network, data, params, seed, initial)
        self.weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
        self.dtype = getattr(torch, params.precision)
        self.calibrate, self.path = folded.calibrate, _folded
        if params.scorer == "native":
            native.prepare(network, data.held_images.device)
            self.calibrate, self.path = native.calibrate, _native
        chunk = CPU_CHUNK if data.held_images.device.type == "cpu" else params.batch_size
        channels_last = torch.channels_last
        images = data.held_images[: params.images].to(self.dtype, memory_format=channels_last)
        self.chunks, self.chunk_labels = images.split(chunk), data.held_labels[: params.images].split(chunk)
        self.calibration = [batch.contiguous(memory_format=channels_last) for batch in self.calibration]
        self.calibrated: Genotype | None = None
        self.statistics: Statistics = {}

    def recalibrate(self, genotype: Genotype) -> None:
        if genotype != self.calibrated:  # of several measures of an architecture, the first
            momentum = None if self.params.recalibrate == "exact" else 0.1
            self.statistics = self.calibrate(self.network, genotype, self.weights, self.calibration, momentum)
            self.calibrated = genotype

    def evaluate_under(self, genotype: Genotype, noises: Iterable[Noise]) -> list[tuple[float, float]]:
        results = []
        for noise in noises:
            weights = self.weights | {name: self.weights[name] + offset for name, offset in noise.items()}
            path = self.path(self.network, genotype, weights, self.statistics, self.dtype)
            with torch.inference_mode():
                logits = [path(images) for images in self.chunks]
                results.append(totals(logits, self.chunk_labels))
        return means(results, len(torch.cat(self.chunk_labels)))

    def loss(self, genotype: Genotype, count: int) -> Tensor:
        modules = dict(self.network.named_modules())
        for name, (mean, variance) in self.statistics.items():
            norm = modules[name]
            assert isinstance(norm, BatchNorm)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        return super().loss(genotype, count)


def make_probe(
    network: Supernet, data: SearchData, params: MeasureParams, seed: int, initial: Supernet | None = None
) -> Probe:
    """The probe that ``measures.scorer`` names."""
    kind = Probe if params.scorer == "plain" else FastProbe
    return kind(network, data, params, seed, initial)

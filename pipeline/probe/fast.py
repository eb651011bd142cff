"""What the measures see, in less time: the evaluations of :mod:`genas.pipeline.probe.plain` by way of
:mod:`genas.models.fast.folded` or, as scorer ``native``, of :mod:`genas.models.fast.native`.

The numbers agree with the plain probe's to float tolerance. What is saved beside the arithmetic: the images lie in
memory once, in the layout and type they are needed in; perturbed weights are handed over instead of written into the
network; measures of one architecture share its recalibration; and on a GPU nothing waits for the host before all
noises of an architecture are evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.fast import folded, native
from genas.models.fast.folded import Moments, Statistics
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.pipeline.config import MeasureParams
from genas.pipeline.probe.plain import BatchNorm, Noise, PathModule, Probe, outcome

if TYPE_CHECKING:
    from genas.pipeline.data.reading.halves import SearchData

CPU_CHUNK = 64
"""Images at a time on a CPU: their maps stay in its caches (``docs/performance.md``)."""


class FastProbe(Probe):
    """A :class:`~genas.pipeline.probe.plain.Probe` that takes less time; its network's weights must stay as they
    are."""

    def __init__(
        self,
        network: OneShot[Any],
        data: SearchData,
        params: MeasureParams,
        seed: int,
        initial: OneShot[Any] | None = None,
    ) -> None:
        super().__init__(network, data, params, seed, initial)
        self.weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
        self.dtype = getattr(torch, params.precision)
        self.code = native if params.scorer == "native" else folded
        channels_last = torch.channels_last
        self.chunk = CPU_CHUNK if self.images.device.type == "cpu" else params.batch_size
        own = torch.float32 if self.code is native else self.dtype  # native rounds what it multiplies
        self.typed = self.images.to(own, memory_format=channels_last)
        self.calibration = [batch.contiguous(memory_format=channels_last) for batch in self.calibration]
        self.calibrated: Architecture | None = None
        self.statistics: Statistics = {
            name: Moments(norm.running_mean, norm.running_var)
            for name, norm in network.named_modules()
            if isinstance(norm, BatchNorm) and norm.running_mean is not None and norm.running_var is not None
        }

    def recalibrate(self, architecture: Architecture) -> None:
        if self.params.recalibrate == "none":
            return
        if architecture != self.calibrated:  # of several measures of an architecture, the first
            arguments = (self.network, architecture, self.weights, self.calibration, self.momentum)
            self.statistics = self.code.calibrate(*arguments)
            self.calibrated = architecture

    def outcomes(self, architecture: Architecture, noises: Iterable[Noise], part: slice = slice(None)) -> Tensor:
        images, labels = (held[part].split(self.chunk) for held in (self.typed, self.labels))
        results = []
        for noise in noises:
            weights = self.weights | {name: self.weights[name] + offset for name, offset in noise.items()}
            norm = self.code.Folded(weights, self.statistics, self.dtype)
            with torch.no_grad():
                logits = (self.code.run_path(self.network, architecture, x, norm) for x in images)
                results.append(torch.cat([outcome(scores, y) for scores, y in zip(logits, labels, strict=True)], 1))
        return torch.stack(results)

    def path(self, architecture: Architecture) -> PathModule:
        modules = dict(self.network.named_modules())
        for name, (mean, variance) in self.statistics.items():
            norm = modules[name]
            assert isinstance(norm, BatchNorm)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        return super().path(architecture)


def make_probe(
    network: OneShot[Any], data: SearchData, params: MeasureParams, seed: int, initial: OneShot[Any] | None = None
) -> Probe:
    """The probe that ``measures.scorer`` names.

    Raises:
        GenasError: ``native`` is named, but runs neither for this network nor here.
    """
    params = settled(params, network.space, data.held_images.device, network.stem_kind)
    kind = Probe if params.scorer == "plain" else FastProbe
    return kind(network, data, params, seed, initial)


def settled(params: MeasureParams, space: str, device: torch.device, stem: str = "cifar") -> MeasureParams:
    """``params`` with a scorer that runs for a ``space`` and a ``stem`` on ``device``: for ``auto`` the quickest, else
    what it names.

    Raises:
        GenasError: ``native`` is named, and does not run.
    """
    if params.scorer in ("plain", "fast"):
        return params
    scorer = "native"
    try:
        native.require(space, stem, device, getattr(torch, params.precision))
    except GenasError:
        if params.scorer == "native":
            raise
        scorer = "fast"
    return params.model_copy(update={"scorer": scorer})

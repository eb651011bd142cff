"""BatchNorm behind the convolutions of a path: :class:`Folded` into them with given statistics, or :class:`Calibrating`
with those of the batch, which it keeps. The code of a path is the same for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from genas.models.spaces.base.moments import Batch, Moments, Statistics

Weights = Mapping[str, Tensor]
"""Parameters by their name in the network."""

EPS = 1e-5
"""Of every BatchNorm."""


def learned(weights: Weights, norm: str, like: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) that a norm has learned; one and zero where it has none (``affine`` is off)."""
    if f"{norm}.weight" not in weights:
        return torch.ones_like(like), torch.zeros_like(like)
    return weights[f"{norm}.weight"], weights[f"{norm}.bias"]


class Normalisation(Protocol):
    """How BatchNorm is taken: behind a convolution in two steps, or alone behind pooling. Maps may be overwritten."""

    weights: Weights

    def convolve(
        self, x: Tensor, name: str, norm: str, channels: slice = slice(None), padding: int = 0, stride: int = 1
    ) -> Tensor:
        """Convolution ``name``, which fills those ``channels`` of BatchNorm ``norm``."""

    def finish(self, x: Tensor, norm: str) -> Tensor:
        """The norm of a map whose channels have all been convolved."""

    def alone(self, x: Tensor, norm: str) -> Tensor:
        """The norm of a map that no convolution made."""


class Folded:
    """Normalisation by fixed statistics, folded into the convolutions once.

    Args:
        weights: of the supernet, perhaps perturbed.
        statistics: of every norm on the path.
        dtype: in which the path is computed; folding is done in the weights' own.
    """

    def __init__(self, weights: Weights, statistics: Statistics, dtype: torch.dtype) -> None:
        self.weights, self.statistics, self.dtype = weights, statistics, dtype
        self._convolutions: dict[str, tuple[Tensor, Tensor]] = {}

    def _affine(self, norm: str) -> tuple[Tensor, Tensor]:
        mean, variance = self.statistics[norm]
        scale, shift = learned(self.weights, norm, mean)
        scale = scale * torch.rsqrt(variance + EPS)
        return scale, shift - mean * scale

    def convolve(
        self, x: Tensor, name: str, norm: str, channels: slice = slice(None), padding: int = 0, stride: int = 1
    ) -> Tensor:
        if name not in self._convolutions:
            scale, shift = (vector[channels] for vector in self._affine(norm))
            weight = self.weights[f"{name}.weight"] * scale.view(-1, 1, 1, 1)
            self._convolutions[name] = (
                weight.to(self.dtype, memory_format=torch.channels_last),
                shift.to(self.dtype),
            )
        return F.conv2d(x, *self._convolutions[name], stride=stride, padding=padding)

    def finish(self, x: Tensor, norm: str) -> Tensor:
        return x

    def alone(self, x: Tensor, norm: str) -> Tensor:
        scale, shift = (vector.to(x.dtype).view(1, -1, 1, 1) for vector in self._affine(norm))
        return torch.addcmul(shift, x, scale)


class Calibrating:
    """Normalisation by the statistics of the batch, as BatchNorm has it in training.

    ``seen`` keeps them by the norm's name.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.seen: dict[str, Batch] = {}

    def convolve(
        self, x: Tensor, name: str, norm: str, channels: slice = slice(None), padding: int = 0, stride: int = 1
    ) -> Tensor:
        return F.conv2d(x, self.weights[f"{name}.weight"], stride=stride, padding=padding)

    def finish(self, x: Tensor, norm: str) -> Tensor:
        return self.alone(x, norm)

    def alone(self, x: Tensor, norm: str) -> Tensor:
        n, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)  # a view of a channels-last map
        mean = rows.mean(0)
        rows = rows.sub_(mean)
        squares = rows.square().sum(0)
        self.seen[norm] = Batch(Moments(mean, squares / (len(rows) - 1)), len(rows))
        scale, shift = learned(self.weights, norm, mean)
        rows = torch.addcmul(shift, rows, scale * torch.rsqrt(squares / len(rows) + EPS), out=rows)
        return rows.view(n, height, width, channels).permute(0, 3, 1, 2)

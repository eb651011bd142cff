"""BatchNorm statistics of many batches, from those of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean and variance of each channel, (C,) each."""

    mean: Tensor
    variance: Tensor


class Batch(NamedTuple):
    """What a norm saw in a batch: moments, the variance unbiased, of so many ``values`` a channel."""

    moments: Moments
    values: int


Statistics = Mapping[str, Moments]
"""BatchNorm statistics by the norm's name in the network."""


def pooled(batches: Sequence[Batch]) -> Moments:
    """Mean and unbiased variance of all values together: each batch counts with its size, and that means differ from
    batch to batch is a part of the variance."""
    values = sum(batch.values for batch in batches)
    mean = torch.stack([moments.mean * (count / values) for moments, count in batches]).sum(0)
    squares = [moments.variance * (count - 1) + (moments.mean - mean).square() * count for moments, count in batches]
    return Moments(mean, torch.stack(squares).sum(0) / (values - 1))


def running(batches: Sequence[Batch], momentum: float) -> Moments:
    """As BatchNorm has it in training: each batch enters the value, which starts at mean 0 and variance 1, with the
    share ``momentum``, whatever its size."""
    mean, variance = batches[0].moments
    moments = Moments(torch.zeros_like(mean), torch.ones_like(variance))
    for batch in batches:
        moments = Moments(*(old.lerp(new, momentum) for old, new in zip(moments, batch.moments, strict=True)))
    return moments


def settled(batches: Sequence[Batch], momentum: float | None) -> Moments:
    """A norm's statistics by what it saw: :func:`pooled`, or :func:`running` where there is a momentum."""
    return pooled(batches) if momentum is None else running(batches, momentum)

"""Statistics of batches together: those of all values, or BatchNorm's own running ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genas.models.spaces.base.moments import Batch, Moments, pooled, running, settled


def batches(*sizes: int) -> tuple[Tensor, list[Batch]]:
    """Values (N, 3) in batches of other sizes and means, and what a norm sees of each."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(size, 3, generator=generator) + place for place, size in enumerate(sizes)]
    return torch.cat(parts), [Batch(Moments(part.mean(0), part.var(0)), len(part)) for part in parts]


def test_pooled_are_those_of_all_values_whatever_the_batches() -> None:
    values, seen = batches(5, 17, 2)
    mean, variance = pooled(seen)
    torch.testing.assert_close(mean, values.mean(0))
    torch.testing.assert_close(variance, values.var(0))


def test_running_are_batchnorm_s_own() -> None:
    values, seen = batches(5, 17, 2)
    norm = nn.BatchNorm1d(3)
    for part in values.split([5, 17, 2]):
        norm(part)
    mean, variance = running(seen, 0.1)
    torch.testing.assert_close(mean, norm.running_mean)
    torch.testing.assert_close(variance, norm.running_var)


def test_without_a_momentum_they_are_pooled() -> None:
    _, seen = batches(4, 9)
    assert settled(seen, None)[1].equal(pooled(seen)[1])
    assert settled(seen, 0.5)[1].equal(running(seen, 0.5)[1])

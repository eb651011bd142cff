"""Data-parallel training of one row by several processes (:mod:`genas.pipeline.machine.distributed`), or by one.

``batch_size`` stays that of the whole step: each process takes its share of it. BatchNorm can be synchronised, so that
a step means what it means in one process.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genas.pipeline.machine.distributed import rank, size


class Total(torch.autograd.Function):
    """The sum of a tensor over all processes, and of its gradient."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        """The sum; ``value`` stays."""
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """Every process's loss depends on this process's value."""
        return Total.forward(context, gradients[0])


class SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm with the statistics of all processes together, on any device; torch's own exists on GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), N of this process, normalised in training by the mean and variance over every process's."""
        if not self.training:
            return super().forward(x)
        count = x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float32)
        sums = Total.apply(torch.cat([x.float().sum((0, 2, 3)), count]))
        mean, count = sums[:-1] / sums[-1], sums[-1].detach()
        centred = x.float() - mean[:, None, None]
        variance = Total.apply(centred.square().sum((0, 2, 3))) / count
        if self.track_running_stats:
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                self.running_mean.lerp_(mean, self.momentum or 0.0)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum or 0.0)
        normal = centred * (variance + self.eps).rsqrt()[:, None, None]
        if self.affine:
            normal = normal * self.weight[:, None, None] + self.bias[:, None, None]
        return normal.to(x.dtype)


def synchronised(network: nn.Module) -> nn.Module:
    """The network with every BatchNorm2d replaced by one over all processes; parameters, buffers and names stay."""
    if next(network.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
    return network


def average_statistics(network: nn.Module) -> None:
    """Make BatchNorm's running statistics the mean over all processes, so that each evaluates the same network."""
    if size() > 1:
        from timm.utils import distribute_bn  # seconds to import, for several processes alone

        distribute_bn(network, size(), reduce=True)


def parallel(network: nn.Module, unused: bool, synchronise: bool = True) -> nn.Module:
    """The network as it is to be trained: itself in one process, else a wrapper that averages gradients over them.

    Its parameters and their names stay.

    Args:
        network: on its device.
        unused: whether a step may leave parameters out, as that of a supernet does.
        synchronise: whether its BatchNorm layers become synchronised ones, in place.
    """
    if size() == 1:
        return network
    if synchronise:
        network = synchronised(network)
    return nn.parallel.DistributedDataParallel(network, forward_sync_buffers=False, find_unused_parameters=unused)


def share(batch: Tensor) -> Tensor:
    """This process's part of a batch, along the first axis."""
    return batch[rank() :: size()]


def weight(own: int, whole: int) -> float:
    """What a mean over ``own`` images counts, so that the average over all processes is the mean over ``whole``."""
    return own * size() / whole


def average(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes."""
    if size() > 1:
        dist.all_reduce(value)
        value /= size()
    return value


def interleave(part: Tensor, length: int) -> Tensor:
    """The whole (length, ...) from what each process computed for its :func:`share`, in the order of the whole."""
    if size() == 1:
        return part
    parts: list[Tensor] = [part] * size()
    dist.all_gather_object(parts, part)
    whole = part.new_empty((length, *part.shape[1:]))
    for process, computed in enumerate(parts):
        whole[process :: size()] = computed
    return whole

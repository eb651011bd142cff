"""Several processes that train one row together, a GPU each: data-parallel training by ``torchrun``.

``GENAS_PROCESSES=8`` lets a stage of :data:`STAGES` start itself so; ``torchrun -m pipeline supernet ...`` does the
same by hand, over several machines if need be. ``batch_size`` stays that of the whole step: each process takes its
share of it. BatchNorm can be synchronised, so that a step means what it means in one process. Everything is written by
the first process, and of a mistake one process tells.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from timm.utils import distribute_bn
from torch import Tensor, nn

from models.errors import GenasError
from pipeline.context import chosen_device

STAGES = ("supernet", "retrain", "detect", "segment")
"""The stages that can."""


def launch(stage: str, axes: Mapping[str, str]) -> None:
    """Run a row in the processes that ``GENAS_PROCESSES`` asks for and end with their exit status; return where it asks
    for none, or where this is one of them.

    Raises:
        GenasError: no number of processes, or more of them than GPUs.
    """
    asked = os.environ.get("GENAS_PROCESSES", "1")
    if not asked.isdecimal() or int(asked) < 1:
        raise GenasError(f"GENAS_PROCESSES is {asked!r}, expected a number of processes")
    if int(asked) == 1 or stage not in STAGES or "RANK" in os.environ:
        return
    gpus = torch.cuda.device_count()
    if chosen_device().type == "cuda" and int(asked) > gpus:
        raise GenasError(f"GENAS_PROCESSES is {asked}, but this machine has {gpus} GPUs")
    row = [stage, *(f"{axis}={value}" for axis, value in axes.items())]
    sys.exit(_torchrun(["--standalone", f"--nproc-per-node={asked}", "-m", "pipeline", *row]))


def _torchrun(arguments: list[str]) -> int:
    """``torchrun`` in this process, without its own report of a failure; the exit status of what failed first, or 0."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.CRITICAL)  # what failed has said so itself
    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        print(f"error: process {number} was ended by {failure.signal_name()}", file=sys.stderr)
        return 128 - int(failure.exitcode)
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    return 0


@contextmanager
def joined() -> Iterator[None]:
    """Join the other processes that ``torchrun`` started, if it did, each with a GPU of its own where there are any.

    Detectron2 and MMEngine find the group that is joined here. Where something goes wrong, the first process to meet
    it raises it; the others, which meet the same or miss the first one, end with the same status and say nothing.
    """
    if "RANK" not in os.environ:
        yield
        return
    cuda = chosen_device().type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    except Exception as error:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(*place, is_master=False)  # type: ignore[attr-defined]  # exported, not declared so
        if store.add("genas/failed", 1) > 1:
            sys.exit(int(store.get("genas/status")))
        store.set("genas/status", "2" if isinstance(error, GenasError) else "1")
        raise
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def leader() -> bool:
    """Whether this process writes what the others leave to it."""
    return rank() == 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


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
    for one, tensor in enumerate(parts):
        whole[one :: size()] = tensor
    return whole

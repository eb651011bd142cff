"""Evaluation of a classifier, shared by retraining and the shifted test sets: logits and percentages."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from genas.pipeline.data.reading.images import Pictures
from genas.pipeline.machine.data_parallel import interleave
from genas.pipeline.machine.distributed import rank, size


@torch.no_grad()
def logits_of(network: nn.Module, data: Pictures, batch_size: int, workers: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (N, classes) and labels (N,) on the CPU, in the order of the data set; evaluation mode."""
    device = next(network.parameters()).device
    network.eval()
    logits, labels = [], []
    own = Subset(cast(Dataset[tuple[Tensor, Tensor]], data), range(rank(), len(data), size()))
    for images, targets in DataLoader(own, batch_size, num_workers=workers):
        images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
        logits.append(network(images).float().cpu())
        labels.append(targets)
    return interleave(torch.cat(logits), len(data)), interleave(torch.cat(labels), len(data))


def top_k(logits: Tensor, labels: Tensor, k: int) -> float:
    """Percentage of images whose label is among the k largest logits (all of them where there are fewer classes)."""
    best = logits.topk(min(k, logits.shape[1])).indices
    return 100 * float((best == labels[:, None]).any(1).double().mean())

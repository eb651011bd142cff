"""What the official code is documented to do, in our own plain words: the opponent of the benchmarks.

The official evaluator and training loop (clovaai/GeNAS fd3cba8) build data loaders for each candidate, decode every
image on every pass, copy the whole supernet before they perturb it, draw noise for operations that the candidate does
not have, run a zero operation on every absent edge, keep the contiguous layout and take 64 images at a time. So does
this module, on one thread, over the same modules and the same noise as ours: the numbers come out alike, the work does
not. Nothing here is used outside the benchmarks and their tests.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from genas.models.spaces.darts.genotype import EDGES, NODES, Genotype
from genas.models.spaces.darts.supernet import Supernet, SupernetCell
from genas.pipeline.measures.flatness import flatness
from genas.pipeline.probe.noise import standard_noise

BATCH = 64
"""Images at a time, in training, recalibration and evaluation."""


class ImageSet(Dataset[tuple[Any, int]]):
    """Images (N, H, W, 3) uint8 and labels (N,), decoded and transformed one by one whenever they are read."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, transform: v2.Compose) -> None:
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def transforms(mean: Sequence[float], std: Sequence[float], augment: bool) -> v2.Compose:
    """To a normalised tensor; in training after a flip and a crop with 4 pixels of padding."""
    flips = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()] if augment else []
    return v2.Compose([*flips, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])


def cell_output(cell: SupernetCell, s0: Tensor, s1: Tensor, genotype: Genotype) -> Tensor:
    """A cell as a sum over all 14 edges, zeros where the architecture has none."""
    chosen = {(edge.source, edge.target): edge for edge in genotype.cell(cell.reduction)}
    states = [cell.preprocess0(s0), cell.preprocess1(s1)]
    for node in NODES:
        total: Tensor | float = 0.0
        for source, target in EDGES:
            if target != node:
                continue
            if (source, target) in chosen:
                total = total + cell.operation(chosen[source, target])(states[source])
            else:
                stride = 2 if cell.reduction and source < 2 else 1
                total = total + states[source][:, :, ::stride, ::stride].mul(0.0)
        assert isinstance(total, Tensor)
        states.append(total)
    return torch.cat(states[2:], dim=1)


def logits(network: Supernet, images: Tensor, genotype: Genotype) -> Tensor:
    """(N, classes) of one path."""
    s0 = s1 = network.stem(images)
    for cell in network.cells:
        assert isinstance(cell, SupernetCell)
        s0, s1 = s1, cell_output(cell, s0, s1, genotype)
    return network.classifier(F.adaptive_avg_pool2d(s1, 1).flatten(1))


def recalibrate(network: Supernet, genotype: Genotype, loader: Iterable[tuple[Tensor, Tensor]]) -> None:
    """BatchNorm statistics of every module anew: reset, then momentum 0.1 over the loader's batches."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    network.train()
    with torch.no_grad():
        for images, _ in loader:
            logits(network, images, genotype)


def validation_loss(network: Supernet, genotype: Genotype, loader: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Mean cross-entropy in nats."""
    network.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for images, labels in loader:
            total += F.cross_entropy(logits(network, images, genotype), labels, reduction="sum").item()
            count += len(labels)
    return total / count


def score(
    network: Supernet, genotype: Genotype, train: ImageSet, held: ImageSet, sigma: Sequence[float], seed: int
) -> float:
    """Flatness of one candidate (Eq. 4, alpha 1, independent noise), with everything made anew for it."""
    train_loader, held_loader = DataLoader(train, BATCH), DataLoader(held, BATCH)
    recalibrate(network, genotype, train_loader)
    losses = []
    for deviation in sigma:
        perturbed = copy.deepcopy(network)
        with torch.no_grad():
            for name, parameter in perturbed.named_parameters():
                parameter.add_(deviation * standard_noise(parameter.shape, seed, 0, name, deviation))
        losses.append(validation_loss(perturbed, genotype, held_loader))
    return flatness(losses, sigma)


def train_step(
    network: Supernet, optimizer: torch.optim.Optimizer, batch: Sequence[Tensor], genotype: Genotype, clip_norm: float
) -> float:
    """One step on one path: every parameter has a gradient, if only of zeros, and takes part in clipping and decay."""
    images, labels = batch
    for parameter in network.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.zero_grad(set_to_none=False)
    loss = F.cross_entropy(logits(network, images, genotype), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), clip_norm, foreach=False)
    optimizer.step()
    return loss.item()

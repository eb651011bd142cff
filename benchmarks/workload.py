"""What the benchmarks work on: digits as real images, the supernet of the paper, random architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.genotype import Genotype, random_genotype
from models.supernet import Supernet
from pipeline.config import REPOSITORY, MeasureParams, SupernetParams, load_params
from pipeline.data.digits import painted
from pipeline.data.images import Images
from pipeline.search_data import SearchData

MEAN = STD = (0.5, 0.5, 0.5)
"""Normalisation of the images, whatever they are."""
SEED = 0


def measures(**changed: Any) -> MeasureParams:
    """The paper's settings, with batches of 64 images as the official evaluator has them."""
    return load_params(Path(REPOSITORY)).measures.model_copy(update={"batch_size": 64, **changed})


def supernet_params(**changed: Any) -> SupernetParams:
    """The paper's settings."""
    return load_params(Path(REPOSITORY)).supernet.model_copy(update=changed)


def digits() -> Images:
    """1,437 images of 32x32 pixels."""
    return painted(SEED)["train"]


def tensors(pixels: np.ndarray) -> Tensor:
    """Normalised, channels-last."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).sub_(MEAN[0]).div_(STD[0])
    return images.contiguous(memory_format=torch.channels_last)


def halves(train: int, held: int) -> SearchData:
    """So many training and held-out images."""
    source = digits()
    images, labels = tensors(source.pixels[: train + held]), torch.from_numpy(source.labels[: train + held])
    return SearchData(images[:train], labels[:train], images[train:], labels[train:], 10)


def supernet(channels: int = 16, layers: int = 8, channels_last: bool = True) -> Supernet:
    """Its weights depend on its size alone."""
    torch.manual_seed(SEED)
    network = Supernet(10, channels, layers)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def architectures(count: int, seed: int = SEED) -> list[Genotype]:
    """So many random ones."""
    rng = np.random.default_rng(seed)
    return [random_genotype(rng) for _ in range(count)]

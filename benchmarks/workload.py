"""What the benchmarks work on: digits as real images, the supernets of the paper and of the laboratory, random
architectures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.models.spaces.darts.supernet import Supernet
from genas.models.spaces.nasbench201.cell import Cell201, random_cell
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline.config import REPOSITORY, MeasureParams, SupernetParams, load_params
from genas.pipeline.data.digits import painted
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.data.reading.images import Images, to_tensor

MEAN = STD = (0.5, 0.5, 0.5)
"""Normalisation of the images, whatever they are."""
SEED = 0
CHANNELS201 = 8
"""Of the laboratory's supernet, which has one cell in a stage."""
CPU = torch.device("cpu")


def measures(**changed: Any) -> MeasureParams:
    """The paper's settings, with batches of 64 images and recalibration as the official evaluator has them."""
    official = {"batch_size": 64, "recalibrate": "official"}
    return load_params(REPOSITORY).measures.model_copy(update={**official, **changed})


def supernet_params() -> SupernetParams:
    """The paper's settings."""
    return load_params(REPOSITORY).supernet["cifar10"]


@cache
def digits() -> Images:
    """1,437 images of 32x32 pixels; to read."""
    return painted(SEED)["train"]


def halves(train: int, held: int, device: torch.device = CPU) -> SearchData:
    """So many training and held-out images."""
    source = digits()
    images = to_tensor(source.pixels[: train + held], MEAN, STD).to(device)
    labels = torch.from_numpy(source.labels[: train + held]).to(device)
    return SearchData(images[:train], labels[:train], images[train:], labels[train:], 10)


def supernet(channels: int = 16, layers: int = 8, channels_last: bool = True) -> Supernet:
    """Its weights depend on its size alone."""
    torch.manual_seed(SEED)
    network = Supernet(10, channels, layers)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def architectures(count: int) -> list[Genotype]:
    """So many random ones."""
    rng = np.random.default_rng(SEED)
    return [random_genotype(rng) for _ in range(count)]


def nasbench201() -> NasBench201:
    """That of the laboratory, untrained."""
    torch.manual_seed(SEED)
    return NasBench201(10, CHANNELS201, 1).to(memory_format=torch.channels_last)


def cells(count: int) -> list[Cell201]:
    """So many random ones of NAS-Bench-201."""
    rng = np.random.default_rng(SEED)
    return [random_cell(rng) for _ in range(count)]

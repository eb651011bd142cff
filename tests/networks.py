"""Small networks on disk for the tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from genas.models.networks.files.checkpoint import Preprocessing, save_network
from genas.models.spaces.darts.genotype import Genotype, random_genotype
from genas.models.spaces.darts.network import GenasNetwork


def write_network(
    path: Path,
    preprocessing: Preprocessing,
    layers: int,
    stem: str = "imagenet",
    worn: bool = False,
    genotype: Genotype | None = None,
    auxiliary: bool = False,
    classes: tuple[str, ...] = ("a", "b", "c"),
) -> Path:
    """A network of width 4; if ``worn``, with BatchNorm weights and statistics away from 0 and 1."""
    torch.manual_seed(0)
    genotype = genotype or random_genotype(np.random.default_rng(1))
    network = GenasNetwork(genotype, width=4, layers=layers, num_classes=len(classes), stem=stem, auxiliary=auxiliary)
    for module in network.modules():
        if worn and isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_network(path, network, preprocessing, list(classes))
    return path

"""Steps of supernets, candidates, networks trained alone, and their evaluation."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import ToTensor

from genas.benchmarks import score, supernet, workload
from genas.benchmarks.devices.compare import Work
from genas.models.fast.gradients import quicken
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.models.spaces.nasbench201.cell import random_cell
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline.config import REPOSITORY, SupernetParams, load_params
from genas.pipeline.data.reading.images import Images, Pictures
from genas.pipeline.retrain.epoch import Training
from genas.pipeline.retrain.evaluation import logits_of

CELL = "genas_flatness_c100"
"""A published cell, for whatever is trained alone."""


class Size(NamedTuple):
    """How large everything is: the paper's networks, fewer images a step than there.

    Attributes:
        channels, layers: of the supernet.
        cells: of NAS-Bench-201's, in each stage.
        batch: images of a supernet's step.
        images: on which a candidate is scored, and as many for its recalibration.
        width, depth: of a network trained alone.
        pictures, pixels: of its step, and their height and width, a multiple of 32.
        scenes, side: of a step of the detector or the segmenter, and their height and width, a multiple of 128.
        heads: channels of the detector's pyramid; the segmenter's head has twice as many.
    """

    channels: int = 16
    layers: int = 8
    cells: int = 5
    batch: int = 64
    images: int = 256
    width: int = 46
    depth: int = 14
    pictures: int = 32
    pixels: int = 224
    scenes: int = 2
    side: int = 512
    heads: int = 256


def training(size: Size) -> SupernetParams:
    """The paper's, with fewer images a step and so a smaller rate: numbers of later steps stay comparable."""
    params = workload.supernet_params()
    rate = params.learning_rate * size.batch / params.batch_size
    return params.model_copy(update={"batch_size": size.batch, "learning_rate": rate})


def supernet_step(size: Size, device: torch.device) -> Work:
    """The fast trainer on the DARTS space."""
    network = quicken(workload.supernet(size.channels, size.layers)).to(device)
    step, paths = supernet.trainer(network, training(size), 4 * size.batch), itertools.cycle(workload.architectures(8))
    return Work(lambda: step(next(paths)), size.batch)


def nasbench201_step(size: Size, device: torch.device) -> Work:
    """The same on NAS-Bench-201."""
    torch.manual_seed(workload.SEED)
    network = NasBench201(10, size.channels, size.cells).to(device).to(memory_format=torch.channels_last)
    step, rng = supernet.trainer(network, training(size), 4 * size.batch), np.random.default_rng(workload.SEED)
    return Work(lambda: step(random_cell(rng)), size.batch)


def candidate(size: Size, device: torch.device, scorer: str) -> Work:
    """Flatness of random architectures, each recalibrated."""
    network = workload.supernet(size.channels, size.layers).to(device)
    flatness = score.our_side(size.images, size.images, network, scorer=scorer)
    paths, sigmas = itertools.cycle(workload.architectures(8)), len(workload.measures().flatness.sigma)
    return Work(lambda: flatness(next(paths)), (1 + sigmas) * size.images)


def pictures(size: Size) -> Pictures:
    """Digits as large pictures, in memory."""
    source = workload.digits()
    times = size.pixels // source.pixels.shape[1]
    pixels = source.pixels[: size.pictures].repeat(times, 1).repeat(times, 2)
    return Pictures(Images(pixels, source.labels[: size.pictures]), ToTensor())


def network(size: Size, device: torch.device) -> GenasNetwork:
    """A published cell's network before training."""
    torch.manual_seed(workload.SEED)
    built = GenasNetwork(zoo_genotype(CELL), size.width, size.depth, 10, auxiliary=True)
    return built.to(device).to(memory_format=torch.channels_last)


def calibrated(untrained: GenasNetwork, images: Tensor) -> GenasNetwork:
    """The network with the BatchNorm statistics of images (N, 3, H, W), without which its maps vanish or explode."""
    norms = [module for module in untrained.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        untrained.train()(images)
    return untrained


def retraining(size: Size, device: torch.device, precision: str) -> Work:
    """Steps of the official recipe, loading from memory included."""
    recipe = load_params(REPOSITORY).recipes["official"]
    rate = recipe.learning_rate * size.pictures / recipe.batch_size
    changed = {"precision": precision, "batch_size": size.pictures, "learning_rate": rate}
    trained, source = Training(network(size, device), recipe.model_copy(update=changed)), pictures(size)
    return Work(lambda: trained.epoch(source, workload.SEED, 0), size.pictures)


def evaluation(size: Size, device: torch.device) -> Work:
    """Cross-entropy of a network in evaluation, loading from memory included."""
    source = pictures(size)
    judged = calibrated(
        network(size, workload.CPU), torch.stack([image for image, _ in map(source.__getitem__, range(len(source)))])
    ).to(device)
    return Work(lambda: float(F.cross_entropy(*logits_of(judged, source, size.pictures))), size.pictures)

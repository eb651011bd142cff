"""Steps of supernets, candidates, networks trained alone, and their evaluation."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms import ToTensor

from benchmarks import score, supernet, workload
from benchmarks.devices.compare import Work
from models.fast.gradients import quicken
from models.networks.published import zoo_genotype
from models.spaces.darts.network import GenasNetwork
from models.spaces.nasbench201.cell import random_cell
from models.spaces.nasbench201.network import NasBench201
from pipeline.config import REPOSITORY, load_params
from pipeline.data.reading.images import Images, Pictures
from pipeline.retrain.epoch import Training
from pipeline.retrain.evaluation import logits_of

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


def supernet_step(size: Size, device: torch.device) -> Work:
    """The fast trainer on the DARTS space."""
    network = quicken(workload.supernet(size.channels, size.layers)).to(device)
    params = workload.supernet_params().model_copy(update={"batch_size": size.batch})
    step, paths = supernet.trainer(network, params, 4 * size.batch), itertools.cycle(workload.architectures(8))
    return Work(lambda: step(next(paths)), size.batch)


def nasbench201_step(size: Size, device: torch.device) -> Work:
    """The same on NAS-Bench-201."""
    torch.manual_seed(workload.SEED)
    network = NasBench201(10, size.channels, size.cells).to(device).to(memory_format=torch.channels_last)
    params = workload.supernet_params().model_copy(update={"batch_size": size.batch})
    step, rng = supernet.trainer(network, params, 4 * size.batch), np.random.default_rng(workload.SEED)
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


def retraining(size: Size, device: torch.device, precision: str) -> Work:
    """Steps of the official recipe, loading from memory included."""
    recipe = load_params(REPOSITORY).recipes["official"]
    recipe = recipe.model_copy(update={"precision": precision, "batch_size": size.pictures})
    training, source = Training(network(size, device), recipe), pictures(size)
    return Work(lambda: training.epoch(source, workload.SEED, 0), size.pictures)


def evaluation(size: Size, device: torch.device) -> Work:
    """Cross-entropy of a network in evaluation, loading from memory included."""
    judged, source = network(size, device), pictures(size)
    return Work(lambda: float(F.cross_entropy(*logits_of(judged, source, size.pictures))), size.pictures)

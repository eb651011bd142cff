"""What the measures look through: a trained supernet, its initial weights, and two fixed sets of images.

Nothing that a probe measures depends on what it measured before: BatchNorm statistics are computed anew for each
architecture and perturbed weights are put back exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.genotype import Genotype
from models.supernet import Supernet
from pipeline.config import MeasureParams

if TYPE_CHECKING:
    from pipeline.search_data import SearchData

BatchNorm = nn.modules.batchnorm._BatchNorm


class Probe:
    """Evaluates single architectures inside a supernet.

    Args:
        network: the trained supernet.
        data: its data; BatchNorm is recalibrated on training images, losses are taken on held-out images.
        params: how many images, and each measure's settings.
        seed: of the perturbations.
        initial: the supernet before training, for measures that compare the two.
    """

    def __init__(
        self, network: Supernet, data: SearchData, params: MeasureParams, seed: int, initial: Supernet | None = None
    ) -> None:
        self.network, self.initial, self.params, self.seed = network, initial, params, seed
        self.images = data.held_images[: params.images].split(params.batch_size)
        self.labels = data.held_labels[: params.images].split(params.batch_size)
        self.calibration = data.train_images[: params.recalibrate_images].split(params.batch_size)

    def recalibrate(self, genotype: Genotype) -> None:
        """Recompute the BatchNorm statistics of a path from training images.

        ``exact`` averages over the batches; ``official`` resets and runs momentum 0.1, an exponential average in which
        part of the reset value stays.
        """
        for module in self.network.path_modules(genotype):
            for norm in module.modules():
                if isinstance(norm, BatchNorm):
                    norm.reset_running_stats()
                    norm.momentum = None if self.params.recalibrate == "exact" else 0.1
        self.network.train()
        with torch.no_grad():
            for images in self.calibration:
                self.network(images, genotype)
        for norm in self.network.modules():
            if isinstance(norm, BatchNorm):
                norm.momentum = 0.1

    def evaluate(self, genotype: Genotype) -> tuple[float, float]:
        """Mean cross-entropy (nats) and accuracy in [0, 1] over the held-out images, statistics as they stand."""
        self.network.eval()
        loss = torch.zeros((), dtype=torch.float64, device=self.labels[0].device)
        right = torch.zeros_like(loss)
        with torch.no_grad():
            for images, labels in zip(self.images, self.labels, strict=True):
                logits = self.network(images, genotype)
                loss += F.cross_entropy(logits, labels, reduction="sum")
                right += (logits.argmax(1) == labels).sum()
        count = sum(len(labels) for labels in self.labels)
        return float(loss) / count, float(right) / count

    def loss(self, genotype: Genotype, count: int) -> Tensor:
        """Mean cross-entropy over the first ``count`` held-out images as a scalar with its graph, statistics as they
        stand."""
        self.network.eval()
        images, labels = torch.cat(self.images)[:count], torch.cat(self.labels)[:count]
        return F.cross_entropy(self.network(images, genotype), labels)

    def path_parameters(self, genotype: Genotype) -> dict[str, nn.Parameter]:
        """The parameters that act in a path, by their name in the supernet."""
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        return {names[p]: p for module in self.network.path_modules(genotype) for p in module.parameters()}

    @contextmanager
    def perturbed(self, parameters: dict[str, nn.Parameter], noise: dict[str, Tensor]) -> Iterator[None]:
        """Add noise to parameters inside the block; the former values come back bit for bit."""
        kept = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.add_(noise[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(kept[name])

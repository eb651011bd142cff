"""What the measures look through: a trained supernet, its initial weights, and two fixed sets of images.

Nothing that a probe measures depends on what it measured before: BatchNorm statistics are computed anew for each
architecture and perturbed weights are put back exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genas.models.spaces.base.moments import Batch, Moments, settled
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.pipeline.config import MeasureParams

if TYPE_CHECKING:
    from genas.pipeline.data.reading.halves import SearchData

BatchNorm = nn.modules.batchnorm._BatchNorm
Noise = Mapping[str, Tensor]
"""What is added to parameters, by their name in the supernet."""


def outcome(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (nats) of each of n images and whether it is right, (2, n), on the logits' device."""
    return torch.stack([F.cross_entropy(logits, labels, reduction="none"), (logits.argmax(1) == labels).float()])


@contextmanager
def watched(norms: Iterable[BatchNorm]) -> Iterator[Mapping[BatchNorm, Sequence[Batch]]]:
    """What each norm sees in the batches (N, C, H, W) that pass through it inside the block; running statistics and
    counts stay meanwhile."""
    seen: defaultdict[BatchNorm, list[Batch]] = defaultdict(list)

    def look(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        (x,) = inputs
        assert isinstance(norm, BatchNorm)
        variance, mean = torch.var_mean(x, (0, 2, 3))
        seen[norm].append(Batch(Moments(mean, variance), x.numel() // x.shape[1]))

    norms = list(norms)
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield seen
    finally:
        for norm, hook in zip(norms, hooks, strict=True):
            norm.track_running_stats = True
            hook.remove()


class PathModule(nn.Module):
    """One path of a network as a module of its own, (N, C, H, W) to (N, classes)."""

    def __init__(self, network: OneShot[Any], architecture: Architecture) -> None:
        super().__init__()
        self.network, self.architecture = network, architecture

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images, self.architecture)


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
        self,
        network: OneShot[Any],
        data: SearchData,
        params: MeasureParams,
        seed: int,
        initial: OneShot[Any] | None = None,
    ) -> None:
        self.network, self.initial, self.params, self.seed = network, initial, params, seed
        self.images, self.labels = data.held_images[: params.images], data.held_labels[: params.images]
        train = data.train_images[: params.recalibrate_images]
        self.calibration: Sequence[Tensor] = train.split(params.recalibrate_batch_size)
        self.momentum = None if params.recalibrate == "exact" else 0.1
        """With which batches enter the BatchNorm statistics; None takes all images together."""
        self.untrained: dict[Architecture, OneShot[Any]] = {}
        """The initial network with one path alone, of the architecture that was last asked for."""
        self.standard_noise: dict[object, Tensor] = {}
        """What a measure has drawn and will need again for the next architecture, by a key of its own."""

    def recalibrate(self, architecture: Architecture) -> None:
        """Recompute the BatchNorm statistics of a path from training images.

        ``exact`` takes all images together; ``official`` resets and runs momentum 0.1, an exponential average in which
        0.9^n of the reset value stays after n batches (:mod:`genas.models.spaces.base.moments`). ``none`` leaves those
        that the supernet's training left.
        """
        if self.params.recalibrate == "none":
            return
        norms = [
            norm
            for module in self.network.path_modules(architecture)
            for norm in module.modules()
            if isinstance(norm, BatchNorm)
        ]
        self.network.train()
        with torch.no_grad(), watched(norms) as seen:
            for images in self.calibration:
                self.network(images, architecture)
            for norm in norms:
                norm.running_mean, norm.running_var = settled(seen[norm], self.momentum)

    def outcomes(self, architecture: Architecture, noises: Iterable[Noise], part: slice = slice(None)) -> Tensor:
        """Cross-entropy (nats) and rightness of each held-out image under each noise in turn, statistics as they stand.

        Args:
            architecture: the path.
            noises: what is added to the weights.
            part: which of the images.

        Returns:
            (noises, 2, images of the part), on the network's device.
        """
        self.network.eval()
        images, labels = (held[part].split(self.params.batch_size) for held in (self.images, self.labels))
        results = []
        for noise in noises:
            with self.perturbed(noise), torch.no_grad():
                pairs = zip(images, labels, strict=True)
                results.append(torch.cat([outcome(self.network(x, architecture), y) for x, y in pairs], 1))
        return torch.stack(results)

    def evaluate(self, architecture: Architecture) -> tuple[float, float]:
        """Mean cross-entropy (nats) and accuracy in [0, 1] over the held-out images, statistics as they stand."""
        loss, accuracy = self.outcomes(architecture, [{}])[0].double().mean(1).tolist()
        return loss, accuracy

    def path(self, architecture: Architecture) -> PathModule:
        """A path with its parameters, statistics as they stand."""
        return PathModule(self.network.eval(), architecture)

    def path_parameters(self, architecture: Architecture) -> dict[str, nn.Parameter]:
        """The parameters that act in a path, by their name in the supernet."""
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        return {names[p]: p for module in self.network.path_modules(architecture) for p in module.parameters()}

    @contextmanager
    def perturbed(self, noise: Noise) -> Iterator[None]:
        """Add noise to parameters inside the block; the former values come back bit for bit."""
        parameters = dict(self.network.named_parameters())
        kept = {name: parameters[name].detach().clone() for name in noise}
        with torch.no_grad():
            for name, offset in noise.items():
                parameters[name].add_(offset)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, former in kept.items():
                    parameters[name].copy_(former)

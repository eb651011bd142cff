"""One epoch of stand-alone training, on any number of processes, in any number of parts a step.

A step has ``batch_size`` images. They are dealt out in turn: first to ``accumulate`` parts, one after the other, then
to the processes; gradients add up to that of the mean over all of them. Order, augmentation and whatever else is random
in an epoch depend only on (seed, epoch).
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from genas.models.errors import GenasError
from genas.models.fast.gradients import quicken
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline.config import RecipeParams
from genas.pipeline.data.reading.images import Pictures
from genas.pipeline.data.reading.inputs.seeded import Seeded, seed_everything, state_of
from genas.pipeline.machine.data_parallel import average, average_statistics, parallel, share, weight
from genas.pipeline.machine.distributed import rank, size

LAST_EPOCHS = 5
"""Of the linear schedule, which have a slope of their own."""
PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def learning_rate(epoch: int, recipe: RecipeParams) -> float:
    """The rate of an epoch (from 0): a linear warm-up to the full rate, or to what the schedule has decayed it to
    meanwhile (official retrain.py); then the recipe's schedule."""
    decay = {"linear": linear_decay, "cosine": cosine_decay}[recipe.schedule]
    if epoch >= recipe.warmup_epochs:
        return decay(epoch, recipe)
    reached = recipe.learning_rate if recipe.warmup_to == "full" else decay(epoch, recipe)
    return reached * (epoch + 1) / recipe.warmup_epochs


def linear_decay(epoch: int, recipe: RecipeParams) -> float:
    """The official decay: in a straight line to what the last five epochs share among themselves, a fifth a step."""
    left = recipe.epochs - epoch
    steps = left - LAST_EPOCHS if left > LAST_EPOCHS else left / LAST_EPOCHS
    return recipe.learning_rate * steps / (recipe.epochs - LAST_EPOCHS)


def cosine_decay(epoch: int, recipe: RecipeParams) -> float:
    """Half a cosine from the full rate to none, over the epochs behind the warm-up."""
    progress = (epoch - recipe.warmup_epochs) / max(1, recipe.epochs - recipe.warmup_epochs)
    return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2


class Part(NamedTuple):
    """What this process computes at once: ``indices`` of a step of ``whole`` images, which ends with the ``last``."""

    indices: list[int]
    whole: int
    last: bool


def parts(count: int, recipe: RecipeParams, seed: int, epoch: int) -> list[Part]:
    """The shuffled epoch over ``count`` images, as this process sees it.

    The rest behind the last whole batch is a step of its own; it is left out where a process would get less than two
    images of it, for BatchNorm. Mixup pairs images, so that with it the rest is cut to what deals out evenly.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(state_of(seed, 5, epoch)))
    least = 2 * size() * recipe.accumulate
    dealt = []
    for step in order.split(recipe.batch_size):
        if recipe.mixup or recipe.cutmix:
            step = step[: len(step) // least * least]
        if len(step) < least:
            continue
        for number in range(recipe.accumulate):
            own = share(step[number :: recipe.accumulate]).tolist()
            dealt.append(Part(own, len(step), number + 1 == recipe.accumulate))
    return dealt


def loss_of(output: Tensor | tuple[Tensor, Tensor], labels: Tensor, recipe: RecipeParams) -> Tensor:
    """Smoothed cross-entropy, plus the auxiliary head's with its weight; labels (N,) or mixed ones (N, classes)."""
    if isinstance(output, tuple):
        logits, auxiliary = output
        return loss_of(logits, labels, recipe) + recipe.auxiliary_weight * loss_of(auxiliary, labels, recipe)
    return F.cross_entropy(output, labels, label_smoothing=recipe.label_smoothing)


class Training:
    """All that an epoch changes.

    Attributes:
        network: the weights that are trained; on a CPU by quick gradients.
        average: their exponential moving average, or None.
        optimizer: timm's, by the recipe's name.
    """

    def __init__(self, network: GenasNetwork, recipe: RecipeParams) -> None:
        self.network, self.recipe = quicken(network), recipe
        self.device = next(network.parameters()).device
        self.parallel = parallel(network, unused=False, synchronise=recipe.sync_batchnorm)
        try:
            self.optimizer = create_optimizer_v2(
                network,
                recipe.optimizer,
                recipe.learning_rate,
                recipe.weight_decay,
                recipe.momentum,
                filter_bias_and_bn=recipe.decay == "weights",
            )
        except ValueError:
            raise GenasError(f"recipe: unknown optimizer {recipe.optimizer!r}, expected one of timm's") from None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "float16")
        self.average = ModelEmaV3(network, recipe.ema_decay) if recipe.ema_decay else None
        self.mixup = (
            Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.0, num_classes=network.num_classes)
            if recipe.mixup or recipe.cutmix
            else None
        )

    @property
    def evaluated(self) -> GenasNetwork:
        """The network that is validated and kept: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {
            "network": self.network.state_dict(),
            "average": self.average and self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a file."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])

    def epoch(self, source: Pictures, seed: int, epoch: int, workers: int = 0) -> float:
        """Train for one epoch (from 0); returns its mean loss.

        Raises:
            GenasError: the loss is no longer finite, or an image cannot be read.
        """
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(epoch, recipe)
        dealt = parts(len(source), recipe, seed, epoch)
        loader: DataLoader[Any] = DataLoader(
            Seeded(source, seed, epoch),
            batch_sampler=[part.indices for part in dealt],
            num_workers=workers,
            generator=torch.Generator().manual_seed(state_of(seed, 5, epoch)),
            pin_memory=self.device.type == "cuda",
        )
        total = torch.zeros((), device=self.device)
        self.network.train()
        for number, (part, (images, labels)) in enumerate(zip(dealt, loader, strict=True)):
            seed_everything(state_of(seed, 6, epoch, number, rank()))
            total += self._forward_and_backward(part, images, labels)
            if part.last:
                self._step()
        average_statistics(self.network)
        if self.average is not None:
            average_statistics(self.average.module)
        loss = float(average(total / max(1, sum(part.last for part in dealt))))
        if not math.isfinite(loss):
            raise GenasError(f"the loss is {loss} in epoch {epoch + 1}: lower the recipe's learning_rate")
        return loss

    def _forward_and_backward(self, part: Part, images: Tensor, labels: Tensor) -> Tensor:
        """Add a part's gradients; returns its share of the step's loss."""
        images = images.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        if self.mixup is not None:
            images, labels = self.mixup(images, labels)
        waits = isinstance(self.parallel, nn.parallel.DistributedDataParallel) and not part.last
        precision = PRECISIONS.get(self.recipe.precision)
        with self.parallel.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with torch.autocast(self.device.type, precision, enabled=precision is not None):
                loss = loss_of(self.parallel(images), labels, self.recipe)
            loss = loss * weight(len(labels), part.whole)
            self.scaler.scale(loss).backward()
        return loss.detach()

    def _step(self) -> None:
        self.scaler.unscale_(self.optimizer)
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.network)

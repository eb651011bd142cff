"""Training a one-shot network, whatever its space: one path at a time.

Each step draws a path uniformly and trains it alone (Section 3.1; official train_supernet). The path stream, the data
order and the augmentation of an epoch depend only on (seed, epoch), so a run that was killed goes on from its last
epoch and ends with the same bytes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.base.weights import save_weights
from genas.pipeline.config import MeasureParams, TrainingParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import SearchData, load_search_data
from genas.pipeline.machine.data_parallel import average, parallel, weight
from genas.pipeline.machine.distributed import leader, size
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.probe.plain import Probe
from genas.pipeline.supernet.batches import batches, random_labels, training_images
from genas.pipeline.supernet.one_vector import flatten
from genas.pipeline.supernet.weights import INITIAL, TRAINED, snapshot

Draw = Callable[[np.random.Generator], Iterator[Architecture]]
"""How the paths of an epoch are drawn, one a step."""


def draw_uniformly(sample: Callable[[np.random.Generator], Architecture]) -> Draw:
    """Paths without end, each a uniform ``sample`` of its space, independent of those before (Section 3.1)."""

    def draw(rng: np.random.Generator) -> Iterator[Architecture]:
        while True:
            yield sample(rng)

    return draw


def learning_rate(epoch: int, share: float, params: TrainingParams) -> float:
    """Learning rate when a ``share`` of an epoch (from 0) is done: from ``learning_rate`` to ``learning_rate_min``.

    Updated by epoch, it is that of the epoch's end: the official loop steps its schedule at the start of each, so the
    first epoch already stands at t = 1.
    """
    progress = (epoch + (1 if params.update == "epoch" else share)) / params.epochs
    left = (1 + math.cos(math.pi * progress)) / 2 if params.schedule == "cosine" else 1 - progress
    return params.learning_rate_min + (params.learning_rate - params.learning_rate_min) * left


def train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    architecture: Architecture,
    params: TrainingParams,
    batch: int | None = None,
) -> Tensor:
    """One step on one path; returns its loss, a scalar without graph.

    Args:
        network: in training mode, perhaps wrapped.
        optimizer: its :func:`make_optimizer`.
        images, labels: (n, C, H, W), augmented, and (n,); this process's share of the batch.
        architecture: the path.
        params: the stage's.
        batch: images in the batch of all processes together, where there are several.
    """
    # Zero gradients, not none: unselected operations keep their weight decay and momentum ("decay", "first"),
    # as they did on the PyTorch that the official code was written for. Those of "first" begin as none.
    optimizer.zero_grad(set_to_none=params.unselected == "freeze")
    with torch.autocast(images.device.type, torch.bfloat16, enabled=params.amp):
        loss = F.cross_entropy(network(images, architecture), labels, label_smoothing=params.label_smoothing)
    loss = loss * weight(len(labels), batch or len(labels))
    loss.backward()
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if params.clip_norm is not None:
        nn.utils.clip_grad_norm_(trained, params.clip_norm, foreach=True)
    if params.clip_value is not None:
        nn.utils.clip_grad_value_(trained, params.clip_value, foreach=True)
    optimizer.step()
    return loss.detach()


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: SearchData,
    params: TrainingParams,
    seed: int,
    epoch: int,
    draw: Draw,
) -> float:
    """One epoch of single-path training; returns the mean training loss of its steps.

    Raises:
        GenasError: too few images for a single step, or one that cannot be read.
    """
    paths = draw(np.random.default_rng([seed, 2, epoch]))
    total, steps = torch.zeros((), device=data.train_images.device), 0
    network.train()
    for batch in batches(data, params, seed, epoch):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(epoch, batch.done, params)
        loss = train_step(network, optimizer, batch.images, batch.labels, next(paths), params, batch.whole)
        total, steps = total + loss, steps + 1
    if not steps:
        count = training_images(data)
        raise GenasError(f"no step in an epoch: {count} images to train on, expected at least {2 * size()}")
    return float(average(total / steps))


def require_finite(epoch: int, values: Mapping[str, float]) -> None:
    """Return if no loss of an epoch (from 0) shows that training went wrong.

    Raises:
        GenasError: one is not finite.
    """
    for name, words in (("train_loss", "training loss"), ("loss", "loss")):
        if not math.isfinite(values.get(name, 0)):
            raise GenasError(
                f"epoch {epoch + 1}: the {words} is {values[name]}, expected a finite number: lower learning_rate "
                "or clip_norm"
            )


def make_optimizer(network: nn.Module, params: TrainingParams) -> torch.optim.SGD:
    """SGD over the network's parameters, before :func:`~genas.pipeline.machine.distributed.parallel` wraps it.

    Where unselected operations decay, gradients are zeros from here on, not none; the fast trainer keeps them all in
    one vector.
    """
    shared = defaultdict(list)
    for parameter in network.parameters():
        shared[params.weight_decay if params.decay == "all" or parameter.ndim > 1 else 0.0].append(parameter)
    groups = []
    for decay, parameters in shared.items():
        if params.unselected == "decay":
            if params.trainer == "fast":
                parameters = [flatten(parameters)]
            else:
                for parameter in parameters:
                    parameter.grad = torch.zeros_like(parameter)
        groups.append({"params": parameters, "weight_decay": decay})
    return torch.optim.SGD(
        groups,
        params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov,
        foreach=True,  # thousands of small tensors: one call for all of them
    )


def validate(probe: Probe, paths: Sequence[Architecture]) -> dict[str, float]:
    """Mean loss (nats) and top-1 (percent) of fixed architectures after BatchNorm recalibration.

    Recalibration writes statistics into the probe's network.
    """
    results = []
    for path in paths:
        probe.recalibrate(path)
        results.append(probe.evaluate(path))
    loss, accuracy = np.mean(results, axis=0)
    return {"loss": float(loss), "top1": 100 * float(accuracy)}


def train(
    context: Context,
    build: Callable[[int], OneShot[Any]],
    params: TrainingParams,
    measures: MeasureParams,
    draw: Draw,
    snapshots: Sequence[int] = (),
) -> dict[str, float]:
    """Train a one-shot network; leaves initial and trained weights and the history, and snapshots in a folder that is
    there.

    Args:
        context: the row, whose axes are a data set and a seed.
        build: the network before training, for a number of classes.
        params: how it is trained.
        measures: how fixed architectures are validated on the way.
        draw: the paths.
        snapshots: after how many epochs weights are kept too.

    Raises:
        GenasError: the data cannot be used, or a loss is no longer finite.
    """
    seed = context.seed("supernet")
    resident = None if params.streamed is None else measures.recalibrate_images  # the others are read when they train
    data = load_search_data(context, params, resident, params.validate_images)
    if params.labels == "random":
        data = random_labels(data, seed)
    network = build(data.num_classes)
    validated = deepcopy(network)  # what validation writes into, and what no process shares
    scratch = Scratch(context, [context.output_of("data", context.axes["dataset"]) / "manifest.json"])
    if leader():
        save_weights(context.out / INITIAL, network)
    optimizer = make_optimizer(network, params)
    trained = parallel(network, unused=True)
    state = scratch.load("state.pt") or {"epoch": 0, "history": [], "snapshots": {}}
    if state["epoch"]:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        if params.unselected == "first":
            for parameter in optimizer.state:  # those that have been selected
                parameter.grad = torch.zeros_like(parameter)
    history: list[dict[str, float]] = state["history"]
    kept: dict[int, dict[str, Tensor]] = state["snapshots"]
    paths = list(islice(draw(np.random.default_rng([seed, 3])), params.validate_paths))

    epochs = range(state["epoch"], params.epochs)
    for epoch in tqdm(
        epochs, "supernet", params.epochs, initial=state["epoch"], unit="epoch", disable=None if leader() else True
    ):
        loss = train_epoch(trained, optimizer, data, params, seed, epoch, draw)
        values = {"train_loss": loss, "lr": optimizer.param_groups[0]["lr"]}
        if (epoch + 1) % params.validate_every == 0 or epoch + 1 == params.epochs:
            validated.load_state_dict(network.state_dict())
            values |= validate(Probe(validated, data, measures, seed), paths)
        require_finite(epoch, values)
        history.append({"epoch": epoch + 1, **values})
        context.log(epoch + 1, values)
        if epoch + 1 in snapshots:
            kept[epoch + 1] = deepcopy(network.state_dict())
        scratch.save(
            "state.pt",
            {
                "epoch": epoch + 1,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "history": history,
                "snapshots": kept,
            },
        )
    if leader():
        save_weights(context.out / TRAINED, network)
        for epoch, weights in kept.items():
            validated.load_state_dict(weights)
            save_weights(snapshot(context.out, epoch), validated)
        pd.DataFrame(history).to_csv(context.out / "history.csv", index=False)
    scratch.close()
    return {name: history[-1][name] for name in ("loss", "top1", "train_loss")}

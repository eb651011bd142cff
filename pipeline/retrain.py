"""The ``retrain`` stage: a found cell's network trained from scratch (Section 4.1; official retrain_architecture).

Data order, augmentation and dropped paths of an epoch depend only on (seed, epoch), so a run that was killed goes on
from its last epoch and ends with the same bytes, whatever the number of loader workers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pandas as pd
import timm
import torch
import torch.nn.functional as F
from timm.data import create_transform
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from models.checkpoint import Preprocessing, save_network
from models.cost import network_cost
from models.genotype import Genotype
from models.network import GenasNetwork
from pipeline import pictures
from pipeline.config import RetrainParams
from pipeline.context import Context
from pipeline.data import dataset_root, index_of, read_manifest
from pipeline.data.images import Pictures, channel_statistics
from pipeline.data.images import pictures as read_pictures
from pipeline.distributed import average, leader, parallel, rank, share, size, weight
from pipeline.evaluation import evaluation_transform, logits_of, top_k
from pipeline.scratch import Scratch


class Seeded(Dataset[tuple[Tensor, int]]):
    """A data set whose augmentation of image i in an epoch is a pure function of (seed, epoch, i)."""

    def __init__(self, source: Pictures, seed: int, epoch: int) -> None:
        self.source, self.key = source, (seed, epoch)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        state = int(np.random.SeedSequence([*self.key, int(index)]).generate_state(1)[0])
        random.seed(state)
        np.random.seed(state)
        torch.manual_seed(state)
        return self.source[index]


def learning_rate(epoch: int, params: RetrainParams) -> float:
    """The rate of an epoch (from 0): linear warm-up, then cosine, or the official linear decay whose last 5 epochs have
    a slope of their own."""
    if epoch < params.warmup_epochs:
        return params.learning_rate * (epoch + 1) / params.warmup_epochs
    left = params.epochs - epoch
    if params.schedule == "linear":
        return params.learning_rate * (left - 5 if left > 5 else left / 5) / (params.epochs - 5)
    done = (epoch - params.warmup_epochs) / max(1, params.epochs - params.warmup_epochs)
    return params.learning_rate * (1 + math.cos(math.pi * done)) / 2


def batches(source: Pictures, params: RetrainParams, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The shuffled training batches of an epoch, this process's share of each; a last batch that leaves a process less
    than two images is left out (BatchNorm needs two)."""
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([params.seed, 5, epoch]).generate_state(1)[0]))
    order = torch.randperm(len(source), generator=generator)
    chunks = [share(chunk).tolist() for chunk in order.split(params.batch_size) if len(chunk) >= 2 * size()]
    loader = DataLoader(
        Seeded(source, params.seed, epoch), batch_sampler=chunks, num_workers=params.workers, generator=generator
    )
    return iter(loader)


def loss_of(output: Tensor | tuple[Tensor, Tensor], labels: Tensor, params: RetrainParams) -> Tensor:
    """Smoothed cross-entropy, plus the auxiliary head's with its weight."""
    if isinstance(output, tuple):
        logits, auxiliary = output
        return loss_of(logits, labels, params) + params.auxiliary_weight * loss_of(auxiliary, labels, params)
    return F.cross_entropy(output, labels, label_smoothing=params.label_smoothing)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, source: Pictures, params: RetrainParams, epoch: int
) -> float:
    """One epoch; returns its mean training loss."""
    device = next(network.parameters()).device
    total, count = torch.zeros((), device=device), 0
    network.train()
    for step, (images, labels) in enumerate(batches(source, params, epoch)):
        torch.manual_seed(int(np.random.SeedSequence([params.seed, 6, epoch, step, rank()]).generate_state(1)[0]))
        images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
        labels = labels.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16) if params.amp else nullcontext():
            loss = loss_of(network(images), labels, params)
        loss = loss * weight(len(labels), min(params.batch_size, len(source) - step * params.batch_size))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), params.clip_norm)
        optimizer.step()
        total, count = total + loss.detach(), count + 1
    return float(average(total / count))


def prepare(context: Context) -> tuple[Pictures, Pictures, Preprocessing, list[str]]:
    """Training and validation pictures with their transforms, the preprocessing to keep, and the class names."""
    params, row = context.params.retrain, context.params.rows[context.row]
    root, layout = dataset_root(context, params.dataset), context.params.data[params.dataset].layout
    classes = read_manifest(context, params.dataset)["classes"]
    names, index = classes or None, index_of(context, params.dataset)
    train, val = (read_pictures(root, layout, split, names, index) for split in ("train", "val"))
    mean, std = ((0.0,) * 3, (1.0,) * 3) if params.normalise == "none" else channel_statistics(train)
    preprocessing = Preprocessing(row.image_size, mean, std, crop_pct=params.crop_pct)
    train.transform = create_transform(
        (3, row.image_size, row.image_size),
        is_training=True,
        scale=(params.crop_scale_min, 1.0),
        hflip=0.5 if params.flip else 0.0,
        color_jitter=params.color_jitter or None,
        interpolation="bilinear",
        mean=mean,
        std=std,
    )
    val.transform = evaluation_transform(preprocessing)
    if not classes:
        classes = [str(i) for i in range(1 + max(train.label(i) for i in range(len(train))))]
    return train, val, preprocessing, classes


def build_network(context: Context, num_classes: int) -> GenasNetwork:
    """The row's network before training."""
    row, params = context.params.rows[context.row], context.params.retrain
    genotype = Genotype.load(context.output_of(*row.cell.split("/", 1)) / "genotype.json")
    torch.manual_seed(params.seed)
    network = timm.create_model(
        "genas_network",
        genotype=genotype,
        width=row.width,
        layers=row.layers,
        stem=row.stem,
        num_classes=num_classes,
        auxiliary=params.auxiliary_weight > 0,
        drop_path_rate=params.drop_path,
    )
    return network.to(context.device).to(memory_format=torch.channels_last)


def run(context: Context) -> dict[str, float]:
    """Train one row; leaves the last epoch's weights with their preprocessing, and the history."""
    params, row = context.params.retrain, context.params.rows[context.row]
    train, val, preprocessing, classes = prepare(context)
    network = build_network(context, len(classes))
    trained = parallel(network, unused=False)
    optimizer = torch.optim.SGD(
        network.parameters(), params.learning_rate, momentum=params.momentum, weight_decay=params.weight_decay
    )
    inputs = [
        context.output_of(*row.cell.split("/", 1)) / "genotype.json",
        context.output_of("data", params.dataset) / "manifest.json",
    ]
    scratch = Scratch(context, {"retrain": params, "row": row}, inputs)
    state = scratch.load("state.pt") or {"epoch": 0, "history": []}
    if state["epoch"]:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, float]] = state["history"]
    epochs = range(state["epoch"], params.epochs)
    for epoch in tqdm(
        epochs,
        f"retrain {context.row}",
        params.epochs,
        initial=state["epoch"],
        unit="epoch",
        disable=None if leader() else True,
    ):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(epoch, params)
        loss = train_epoch(trained, optimizer, train, params, epoch)
        logits, labels = logits_of(network, val, params.batch_size, params.workers)
        values = {
            "train_loss": loss,
            "top1": top_k(logits, labels, 1),
            "top5": top_k(logits, labels, 5),
            "lr": learning_rate(epoch, params),
        }
        history.append({"epoch": epoch + 1, **values})
        context.log(epoch + 1, values)
        state = {"epoch": epoch + 1, "history": history}
        scratch.save("state.pt", {**state, "network": network.state_dict(), "optimizer": optimizer.state_dict()})
    if leader():
        save_network(context.out / "weights.safetensors", network, preprocessing, classes)
        frame = pd.DataFrame(history)
        frame.to_csv(context.out / "history.csv", index=False)
        pictures.draw_curves(frame, "epoch", ["top1", "top5"], context.out / "curves.png", context.row)
    scratch.close()
    cost = network_cost(
        network.genotype, row.image_size, width=row.width, layers=row.layers, stem=row.stem, num_classes=len(classes)
    )
    last = history[-1]
    best = max(entry["top1"] for entry in history)
    return {"top1": last["top1"], "top5": last["top5"], "best_top1": best, "params": cost.params, "macs": cost.macs}

"""The ``retrain`` stage: a found cell's network trained from scratch (Section 4.1; official retrain_architecture).

A run that was killed goes on from its last epoch and ends with the same bytes, whatever the number of loader workers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import timm
import torch
from tqdm import tqdm

from genas.models.networks.files.checkpoint import Preprocessing, architecture_of, save_network
from genas.models.spaces.darts.cost import fit_width, network_cost
from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline.config import RecipeParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.images import Pictures, pictures
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform, preprocessing_of, train_transform
from genas.pipeline.data.reading.layouts import dataset_root, index_of
from genas.pipeline.data.reading.manifest import read_manifest
from genas.pipeline.machine.distributed import leader
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.retrain.epoch import Training, learning_rate
from genas.pipeline.retrain.evaluation import logits_of, top_k


def recipe_of(context: Context) -> RecipeParams:
    """The recipe that the row names."""
    return context.params.recipes[context.params.rows[context.row].recipe]


def genotype_file(context: Context) -> Path:
    """Where the row's cell was left by the stage that found it."""
    return context.output_of(*context.params.rows[context.row].cell.split("/", 1)) / "genotype.json"


def prepare(context: Context) -> tuple[Pictures, Pictures, Preprocessing, list[str]]:
    """Training and validation pictures with their transforms, the preprocessing to keep, and the class names."""
    row, recipe = context.params.rows[context.row], recipe_of(context)
    name = row.dataset
    root, layout = dataset_root(context, name), context.params.data[name].layout
    classes = read_manifest(context, name)["classes"]
    names, index = classes or None, index_of(context, name)
    train, val = (pictures(root, layout, split, names, index) for split in ("train", "val"))
    preprocessing = preprocessing_of(train, recipe, row.image_size)
    train.transform = train_transform(recipe, recipe.flip, preprocessing)
    val.transform = evaluation_transform(preprocessing)
    if not classes:
        classes = [str(i) for i in range(1 + max(train.label(i) for i in range(len(train))))]
    return train, val, preprocessing, classes


def build_network(context: Context, num_classes: int) -> GenasNetwork:
    """The row's network before training; where the row gives a budget, its width is fitted to it."""
    row, recipe = context.params.rows[context.row], recipe_of(context)
    genotype = Genotype.load(genotype_file(context))
    shape: dict[str, Any] = {"layers": row.layers, "stem": row.stem, "num_classes": num_classes}
    torch.manual_seed(row.seed)
    network = timm.create_model(
        "genas_network",
        genotype=genotype,
        width=row.width or fit_width(genotype, macs=row.macs, size=row.image_size, **shape),
        auxiliary=recipe.auxiliary_weight > 0,
        drop_path_rate=recipe.drop_path,
        **shape,
    )
    return network.to(context.device).to(memory_format=torch.channels_last)


def run(context: Context) -> dict[str, float]:
    """Train one row; leaves the weights of the last or the best epoch with their preprocessing, and the history.

    Returns:
        ``top1`` and ``top5`` of the last epoch in percent, ``best_top1``, ``best_top5`` and ``best_epoch`` of the first
        best one; ``params``, ``macs`` and ``width`` of the network.

    Raises:
        GenasError: no genotype yet, a data set or an image that cannot be read, a loss that is no longer finite.
    """
    params, row, recipe = context.params.retrain, context.params.rows[context.row], recipe_of(context)
    train, val, preprocessing, classes = prepare(context)
    training = Training(build_network(context, len(classes)), recipe)
    inputs = [genotype_file(context), context.output_of("data", row.dataset) / "manifest.json"]
    scratch = Scratch(context, inputs)
    state = scratch.load("state.pt") or {"epoch": 0, "history": [], "best": None}
    if state["epoch"]:
        training.load_state_dict(state["training"])
    history: list[dict[str, float]] = state["history"]
    bar = tqdm(
        range(state["epoch"], recipe.epochs),
        f"retrain {context.row}",
        recipe.epochs,
        initial=state["epoch"],
        unit="epoch",
        disable=None if leader() else True,
    )
    for epoch in bar:
        values = {"train_loss": training.epoch(train, row.seed, epoch, params.workers)}
        logits, labels = logits_of(training.evaluated, val, recipe.batch_size, params.workers)
        values |= {"top1": top_k(logits, labels, 1), "top5": top_k(logits, labels, 5)}
        if training.average is not None:
            values["raw_top1"] = top_k(*logits_of(training.network, val, recipe.batch_size, params.workers), 1)
        values["lr"] = learning_rate(epoch, recipe)
        best = all(values["top1"] > entry["top1"] for entry in history)
        history.append({"epoch": epoch + 1, **values})
        context.log(epoch + 1, values)
        if recipe.keep == "best" and best:
            state["best"] = {name: value.clone() for name, value in training.evaluated.state_dict().items()}
        state |= {"epoch": epoch + 1, "history": history, "training": training.state_dict()}
        scratch.save("state.pt", state)
    network = training.evaluated
    if state["best"] is not None:
        network.load_state_dict(state["best"])
    if leader():
        save_network(context.out / "weights.safetensors", network, preprocessing, classes)
        pd.DataFrame(history).to_csv(context.out / "history.csv", index=False)
    scratch.close()
    cost = network_cost(network.genotype, row.image_size, **architecture_of(network))
    last, best_entry = history[-1], max(history, key=lambda entry: entry["top1"])
    found = {"top1": last["top1"], "top5": last["top5"]}
    found |= {"best_top1": best_entry["top1"], "best_top5": best_entry["top5"], "best_epoch": best_entry["epoch"]}
    return {**found, "params": cost.params, "macs": cost.macs, "width": network.width}

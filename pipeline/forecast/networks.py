"""The work of retraining a cell's network, and of testing it on shifted images and under noise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch

from genas.models.networks.files.checkpoint import Preprocessing, architecture_of
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline.config import RecipeParams, Row
from genas.pipeline.context import chosen_device
from genas.pipeline.data.reading.images import Images as Arrays
from genas.pipeline.data.reading.images import Pictures
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform, train_transform
from genas.pipeline.forecast.count import built, cell_cost, cells_of, network_cost
from genas.pipeline.forecast.stopwatch import affordable, now, photographs, repeated
from genas.pipeline.forecast.work import BACKWARD, Cost, Forecast, Kinds, Profile, Rate, Work, load, training_memory
from genas.pipeline.retrain.epoch import Training
from genas.pipeline.retrain.evaluation import logits_of
from genas.pipeline.stages import Key

TRIED = 2
"""Random cells of a trial: how long a network takes depends on its cell."""


def _look(row: Row) -> str:
    return f"evaluation, {row.dataset}, {row.stem} {row.layers} cells {row.image_size} px"


def _step(row: Row) -> str:
    return f"retrain step, {row.dataset}, {row.stem} {row.layers} cells {row.image_size} px, {row.recipe}"


def _of(profile: Profile, key: Key) -> tuple[Row, RecipeParams, Cost]:
    row = profile.params.rows[key[1]]
    return row, profile.params.recipes[row.recipe], network_cost(row, profile.images(row.dataset).classes)


def retrain(profile: Profile, key: Key) -> Work:
    """``epochs`` x the training images in batches, each forward and backward; after each epoch the validation images,
    twice where there is a moving average."""
    row, recipe, cost = _of(profile, key)
    images, half = profile.images(row.dataset), recipe.precision != "float32"
    batch = min(recipe.batch_size, images.train)
    seen = recipe.epochs * images.train
    checked = recipe.epochs * images.val * (2 if recipe.ema_decay else 1)
    files, workers = profile.files(row.dataset, 1), profile.params.retrain.workers
    steps = load(_step(row), cost, seen, batch / recipe.accumulate, BACKWARD, half, files * seen, workers)
    checks = load(_look(row), cost, checked, batch, files=files * checked, workers=workers)
    memory = training_memory(cost, batch / recipe.accumulate, 4 if recipe.ema_decay else 3, half)
    return Work((steps, checks), memory, disk=4 * cost.weights)


def _looks(profile: Profile, key: Key, images: float, batch: int, copies: int, disk: float) -> Work:
    """So many images once forward, of the maps a tenth at once, with ``copies`` of the weights."""
    row, _, cost = _of(profile, key)
    files, workers = profile.files(row.dataset, images), profile.params.retrain.workers
    looks = load(_look(row), cost, images, batch, files=files, workers=workers)
    return Work((looks,), training_memory(cost, batch / 10, copies), disk)


def shift(profile: Profile, key: Key) -> Work:
    """The validation images of retraining and those of every shifted set."""
    params, shifted = profile.params, profile.images(profile.params.shift.dataset)
    images = profile.images(params.shift.trained_on).val + shifted.val
    return _looks(profile, key, images, params.shift.batch_size, copies=1, disk=1e3)


def curvature(profile: Profile, key: Key) -> Work:
    """Some validation images without noise, and draws x sigmas times with it."""
    params = profile.params.curvature
    passes = 1 + params.draws * (len(params.sigma) - 1)
    images = min(params.images, profile.images(params.trained_on).val)
    return _looks(profile, key, passes * images, params.batch_size, copies=2, disk=2e3)


def source_of(profile: Profile, dataset: str, folder: Path, count: int) -> Arrays | list[tuple[Path, int]]:
    """So many images as a data set has them: arrays of 32 pixels in memory, or files."""
    if profile.files(dataset, count):
        return photographs(folder, count)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Arrays(pixels, np.arange(count) % 2)


def networks(row: Row, classes: int, auxiliary: bool) -> list[GenasNetwork]:
    """The row's network before training, with its cell or with some random ones."""
    made = []
    for genotype in cells_of(row)[:TRIED]:
        laid_out = built(row, genotype, classes, auxiliary)
        torch.manual_seed(0)
        made.append(timm.create_model("genas_network", genotype=genotype, **architecture_of(laid_out)))
    return made


def trial(profile: Profile, key: Key, kinds: Kinds) -> Mapping[str, Rate]:
    """Epochs of at most two steps as the stage runs them, and evaluations of as many images."""
    row, recipe, _ = _of(profile, key)
    classes, workers = profile.images(row.dataset).classes, profile.params.retrain.workers
    grey = (0.5,) * 3
    pixels = Preprocessing(row.image_size, grey, grey, recipe.interpolation, recipe.crop_pct, recipe.resize)
    found: dict[str, list[Rate]] = {}
    for made in networks(row, classes, recipe.auxiliary_weight > 0):
        started = now()
        trained = Training(made.to(chosen_device()).to(memory_format=torch.channels_last), recipe)
        setup = now() - started
        flops = cell_cost(row, made.genotype, classes).flops
        count = max(4 * recipe.accumulate, min(2 * recipe.batch_size, int(affordable() / (BACKWARD * flops))))
        with tempfile.TemporaryDirectory() as folder:
            source = source_of(profile, row.dataset, Path(folder), count)
            train = Pictures(source, train_transform(recipe, recipe.flip, pixels))
            val = Pictures(source, evaluation_transform(pixels))
            acts: dict[str, tuple[Callable[[int], object], float]] = {
                _step(row): (partial(_epoch, trained, train, workers), BACKWARD * flops),
                _look(row): (lambda _: logits_of(trained.evaluated, val, recipe.batch_size, workers), flops),  # noqa: B023
            }
            for kind in kinds & acts.keys():
                act, operations = acts[kind]
                found.setdefault(kind, []).append(Rate(repeated(act, count), operations, setup))
    return {kind: Rate(*np.mean(rates, axis=0).tolist()) for kind, rates in found.items()}


def _epoch(trained: Training, train: Pictures, workers: int, number: int) -> float:
    return trained.epoch(train, 0, number % trained.recipe.epochs, workers)


RETRAIN, SHIFT, CURVATURE = Forecast(retrain, trial), Forecast(shift, trial), Forecast(curvature, trial)

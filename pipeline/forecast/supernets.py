"""The work of training a supernet: steps on one path each, and fixed paths validated on the way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from genas.models.errors import GenasError
from genas.models.spaces.base.oneshot import Architecture, OneShot
from genas.models.spaces.base.preprocessing import Preprocessing
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.config import MeasureParams, TrainingParams
from genas.pipeline.context import Context, chosen_device
from genas.pipeline.data.reading.halves import SearchData, memory_format
from genas.pipeline.data.reading.images import Pictures
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform, train_transform
from genas.pipeline.data.reading.inputs.streams import Chosen, Stream
from genas.pipeline.data.reading.layouts import split_file
from genas.pipeline.data.reading.splits import read_split
from genas.pipeline.forecast.count import path_cost
from genas.pipeline.forecast.stopwatch import affordable, photographs, repeated
from genas.pipeline.forecast.work import (
    BACKWARD,
    Cost,
    Forecast,
    Kinds,
    Load,
    Profile,
    Rate,
    Work,
    load,
    training_memory,
)
from genas.pipeline.nasbench201 import network as network201
from genas.pipeline.nasbench201.supernet import DRAWS
from genas.pipeline.probe.plain import Probe
from genas.pipeline.stages import STAGES, Key
from genas.pipeline.supernet.network import build_supernet
from genas.pipeline.supernet.training import Draw, draw_uniformly, make_optimizer, train_epoch, validate

PHOTOGRAPHS = 64
"""How many are decoded in a trial."""


class Space(NamedTuple):
    """What a row's supernet is: how it is trained and measured, how paths are drawn, its space with channels and cells,
    the classes of its data set, and height and width of an image; its stem, and how many files are decoded for an image
    that trains: one where images are streamed from files, else none."""

    training: TrainingParams
    measures: MeasureParams
    draw: Draw
    size: tuple[str, int, int]
    classes: int
    pixels: int
    stem: str = "cifar"
    files: float = 0

    @property
    def cost(self) -> Cost:
        """What a path costs."""
        return path_cost(*self.size, self.pixels, self.stem)

    @property
    def label(self) -> str:
        """As kinds of steps name it."""
        space, channels, cells = self.size
        return f"{space} {channels}x{cells}, {self.pixels} px{', stem imagenet' * (self.stem == 'imagenet')}"

    @property
    def workers(self) -> int:
        """Processes that decode."""
        return self.training.streamed.workers if self.training.streamed else 0

    def resident(self, train: int, held: int, looked: int) -> int:
        """Images in memory, of halves of these sizes: where they are streamed, only those that a probe looks at, of the
        held-out ones ``looked``."""
        if self.training.streamed is None:
            return train + held
        return min(self.measures.recalibrate_images, train) + min(looked, held)

    def decoding(self, images: float) -> tuple[Load, ...]:
        """Reading so many images into memory, where they lie in files."""
        kept = self.files * images
        return (Load(f"decoding, {self.pixels} px", kept, kept, files=kept, workers=self.workers),) if kept else ()


def space_of(profile: Profile, key: Key) -> Space:
    """The space of a row that trains a supernet or looks into one."""
    params, stage = profile.params, STAGES[key[0]]
    axes = stage.rows(params)[key[1]]
    classes, pixels = profile.images(axes["dataset"]).classes, params.data[axes["dataset"]].pixels
    assert pixels is not None, "params.yaml was validated"
    if "recipe" in axes:
        settings = params.nasbench201.required
        recipe = settings.recipes[axes["recipe"]]
        size = ("nasbench201", recipe.channels, recipe.cells)
        files = profile.files(axes["dataset"], 1) if recipe.streamed else 0
        return Space(recipe, settings.measures, DRAWS[recipe.sampling], size, classes, pixels, files=files)
    training = params.supernet[axes["dataset"]]
    size = ("darts", training.channels, training.layers)
    taken = params.nasbench301.required.measures if stage.name == "nasbench301" else params.measures
    files = profile.files(axes["dataset"], 1) if training.streamed else 0
    return Space(training, taken, draw_uniformly(random_genotype), size, classes, pixels, training.stem, files)


def halves_of(profile: Profile, key: Key) -> tuple[int, int]:
    """Images of the training half and of the half that is held out, as a split file says where there is one; by its
    name, where it is one of NAS-Bench-201's that is not here, or there are not as many images as it numbers."""
    training, dataset = space_of(profile, key).training, STAGES[key[0]].rows(profile.params)[key[1]]["dataset"]
    images = profile.images(dataset)
    if training.split == "file":
        path = split_file(profile.params.data[dataset])
        assert path is not None, "params.yaml was validated"
        with suppress(GenasError):
            split = read_split(path, images.train, images.val)
            return len(split.train), len(split.held)
        of_validation = path.name.endswith("-test-split.txt")
        return (images.train, images.val // 2) if of_validation else (images.train // 2, images.train // 2)
    assert training.train_share is not None, "params.yaml was validated"
    train = int(images.train * training.train_share)
    return train, images.train - train


def validated(training: TrainingParams) -> int:
    """How often fixed paths are validated: every ``validate_every`` epochs and after the last."""
    return -(-training.epochs // training.validate_every)


def work(profile: Profile, key: Key) -> Work:
    """``epochs`` x the training half in batches, each forward and backward; and at each validation ``validate_paths`` x
    (recalibration images + validation images), forward. The plain probe does that, whatever scores a search. Images
    that are streamed are decoded whenever they train."""
    space, (train, held) = space_of(profile, key), halves_of(profile, key)
    training, measures = space.training, space.measures
    batch = min(training.batch_size, train)
    looked = min(training.validate_images, held) + min(measures.recalibrate_images, train)
    seen = training.epochs * train
    kind, files = f"supernet step, {space.label}", space.files * seen
    steps = load(kind, space.cost, seen, batch, BACKWARD, training.amp, files, space.workers)
    looks = validated(training) * training.validate_paths * looked
    checks = load(f"supernet validation, {space.label}", space.cost, looks, measures.batch_size)
    kept = space.resident(train, held, training.validate_images)
    memory = training_memory(space.cost, batch, 4, training.amp) + 4 * 3 * space.pixels**2 * kept
    return Work((steps, checks, *space.decoding(kept)), memory, disk=2 * 4 * space.cost.weights)


def synthetic(train: int, held: int, space: Space) -> SearchData:
    """Noise in the place of a data set's halves, on the device."""
    generator, device, layout = torch.Generator().manual_seed(0), chosen_device(), memory_format(space.training)
    shape, classes = (3, space.pixels, space.pixels), space.classes

    def half(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randn(count, *shape, generator=generator).contiguous(memory_format=layout)
        return images.to(device), torch.randint(classes, (count,), generator=generator).to(device)

    return SearchData(*half(train), *half(held), classes)


def build(profile: Profile, key: Key) -> OneShot[Any]:
    """The row's supernet before training."""
    stage, row = key
    context = Context(stage, STAGES[stage].rows(profile.params)[row], profile.params, root=None)  # type: ignore[arg-type]
    space = space_of(profile, key)
    return (build_supernet if space.size[0] == "darts" else network201.build)(context, space.classes)


def paths(space: Space) -> Iterator[Architecture]:
    """Random ones, always the same."""
    return space.draw(np.random.default_rng(0))


@contextmanager
def streamed(space: Space, count: int) -> Iterator[Stream]:
    """So many photographs as the files of a training half."""
    params = space.training.streamed
    assert params is not None, "images are streamed"
    grey = (0.5,) * 3
    pixels = Preprocessing(space.pixels, grey, grey, params.interpolation, params.crop_pct, params.resize)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(photographs(Path(folder), count), evaluation_transform(pixels))
        source = Chosen.of(pictures, np.arange(count), train_transform(params, space.training.flip, pixels))
        yield Stream(source, params.workers, chosen_device(), memory_format(space.training))


def decoding(space: Space) -> Mapping[str, Rate]:
    """How long an image takes that is read into memory, where images are streamed from files."""
    kinds = [part.kind for part in space.decoding(PHOTOGRAPHS)]
    if not kinds:
        return {}
    with streamed(space, PHOTOGRAPHS) as stream:
        pictures, rows = stream.source.pictures, stream.source.rows
        assert pictures.transform is not None
        evaluated = pictures.transform
        seconds = repeated(lambda _: stream.plain(pictures, rows, evaluated), PHOTOGRAPHS)
    return {kind: Rate(seconds, 0) for kind in kinds}


def trial(profile: Profile, key: Key, kinds: Kinds) -> Mapping[str, Rate]:
    """Epochs of a few batches as the stage runs them, and validations of a path."""
    started = time.perf_counter()
    space = space_of(profile, key)
    training, measures, flops = space.training, space.measures, space.cost.flops
    network = build(profile, key)
    checked = deepcopy(network)
    optimizer = make_optimizer(network, training)
    few = max(4, min(4 * training.batch_size, int(affordable() / (BACKWARD * flops))))
    held = min(training.validate_images, 512)
    data = synthetic(max(few, min(measures.recalibrate_images, 512)), held, space)
    setup = time.perf_counter() - started
    short = data._replace(train_images=data.train_images[:few], train_labels=data.train_labels[:few])
    with streamed(space, few) if space.files else nullcontext() as stream:
        short = short._replace(stream=stream)
        step = repeated(lambda n: train_epoch(network, optimizer, short, training, 0, n, space.draw), few)
    probe = Probe(checked, data, measures, 0)
    chosen = list(islice(paths(space), 64))
    looked = held + len(torch.cat(list(probe.calibration)))
    look = repeated(lambda n: validate(probe, chosen[n % 64 : n % 64 + 1]), looked)
    return {
        f"supernet step, {space.label}": Rate(step, BACKWARD * flops, setup),
        f"supernet validation, {space.label}": Rate(look, flops),
        **decoding(space),
    }


SUPERNET = Forecast(work, trial)

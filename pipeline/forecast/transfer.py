"""The work of training and evaluating a detector and a segmenter around a retrained network."""

from __future__ import annotations

import io
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from genas.models.networks.files.checkpoint import Preprocessing, save_network
from genas.pipeline.config import DataParams, DetectParams, Params, Row, SegmentParams
from genas.pipeline.context import Context
from genas.pipeline.data import digits
from genas.pipeline.forecast.count import cost_of
from genas.pipeline.forecast.networks import networks
from genas.pipeline.forecast.stopwatch import affordable, now, repeated
from genas.pipeline.forecast.work import BACKWARD, Cost, Forecast, Kinds, Profile, Rate, Work, load, training_memory
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.stages import Key
from genas.pipeline.transfer.frameworks.training import PERIOD

ITERATIONS = 3 * PERIOD // 2
"""Of a trial: the curves tell when iteration :data:`PERIOD` and the last one were done."""
SCENES = 60
"""Composed scenes of a trial, a fifth of them to validate on."""
ASPECT = 4 / 3
"""Width by height of a photograph."""


class Task(NamedTuple):
    """What a framework makes of a row: images of a step, steps, the cost of an image in training and in validation,
    processes that load images, whether it computes in 16 bits."""

    batch: int
    iterations: int
    train: Cost
    val: Cost
    workers: int
    half: bool


@contextmanager
def quiet() -> Iterator[None]:
    """Keep off the screen what the frameworks say when they are imported and built."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def checkpoint(row: Row) -> Iterator[tuple[Path, Path]]:
    """An empty folder, and in it the network file that retraining would leave."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        pixels = Preprocessing(row.image_size, (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
        made = networks(row, 10, auxiliary=False)[0]
        save_network(path, made, pixels, [str(i) for i in range(10)])
        yield Path(folder), path


def detector_size(short: float, longest: int) -> tuple[int, int]:
    """Height and width of a photograph whose shorter side becomes ``short`` and whose longer one at most ``longest``,
    in multiples of the backbone's 32 pixels."""
    return math.ceil(min(short, longest) / 32) * 32, math.ceil(min(short * ASPECT, longest) / 32) * 32


@cache
@quiet()
def detector(row: Row, text: str, classes: int) -> Task:
    """RetinaNet: dense parts alone, which a count can see."""
    from detectron2.modeling import build_model

    from genas.pipeline.transfer.detect.config import Setting, configure

    with checkpoint(row) as (_, path):
        cfg = configure(DetectParams.model_validate_json(text), Setting(path, "", "", classes, torch.device("cpu")))
        model: Any = build_model(cfg).to("meta")

    def dense(x: torch.Tensor) -> Any:
        maps = model.backbone(x)
        return model.head([maps[name] for name in model.head_in_features])

    scales = cfg.INPUT.MIN_SIZE_TRAIN
    train = cost_of(dense, model, detector_size(sum(scales) / len(scales), cfg.INPUT.MAX_SIZE_TRAIN))
    val = cost_of(dense, model, detector_size(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST))
    return Task(
        cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, train, val, cfg.DATALOADER.NUM_WORKERS, cfg.SOLVER.AMP.ENABLED
    )


@cache
@quiet()
def segmenter(row: Row, text: str, classes: int) -> Task:
    """DeepLab-v3 with its auxiliary head, which validation does not run."""
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    import genas.models.networks.mmseg  # noqa: F401  (registers the backbone)
    from genas.pipeline.transfer.segment.config import Setting, configure

    register_all_modules(init_default_scope=True)
    with checkpoint(row) as (folder, path):
        setting = Setting(path, folder, "cityscapes", tuple(map(str, range(classes))), torch.device("cpu"), folder)
        cfg = configure(SegmentParams.model_validate_json(text), setting)
        model: Any = MODELS.build(cfg.model).to("meta")

    def heads(*chosen: str) -> Callable[[torch.Tensor], Any]:
        def forward(x: torch.Tensor) -> Any:
            maps = model.extract_feat(x)
            return [getattr(model, head)(maps) for head in chosen]

        return forward

    width, height = cfg.val_dataloader.dataset.pipeline[1].scale
    train = cost_of(heads("decode_head", "auxiliary_head"), model, tuple(cfg.model.data_preprocessor.size))
    val = cost_of(heads("decode_head"), model, (height, width))
    loader = cfg.train_dataloader
    return Task(
        loader.batch_size, cfg.train_cfg.max_iters, train, val, loader.num_workers, "Amp" in cfg.optim_wrapper.type
    )


def _first(params: Params, stage: str) -> Row:
    return params.rows[getattr(params.matrix, stage).row[0]]


def _task(profile: Profile, key: Key) -> tuple[str, Task]:
    """The name of the model, and what it is around the network of the stage's first row: heads and sizes are the same
    for all, and the cell of the backbone moves the whole by a few percent."""
    params, stage = profile.params, key[0]
    section: Any = getattr(params, stage)
    row = _first(params, stage)
    name, make = ("detector", detector) if stage == "detect" else ("segmenter", segmenter)
    return name, make(row, section.model_dump_json(), _classes(profile, stage))


def _classes(profile: Profile, stage: str) -> int:
    """How many classes the model of a stage tells apart."""
    section: Any = getattr(profile.params, stage)
    chosen = section.categories if isinstance(section, DetectParams) else None
    return profile.images(section.dataset).classes if chosen is None else len(chosen)


def work(profile: Profile, key: Key) -> Work:
    """Iterations x images of a step, each forward and backward; then the validation images, once forward."""
    name, task = _task(profile, key)
    seen = task.iterations * task.batch
    val = profile.images(getattr(profile.params, key[0]).dataset).val
    steps = load(f"{name} iteration", task.train, seen, task.batch, BACKWARD, task.half, seen, task.workers)
    checks = load(f"{name} evaluation", task.val, val, 1, files=val, workers=task.workers)
    return Work((steps, checks), training_memory(task.train, task.batch, 3, task.half), disk=4 * task.train.weights)


@quiet()
def trial(profile: Profile, key: Key, kinds: Kinds) -> Mapping[str, Rate]:
    """A short training and an evaluation on composed scenes, at the row's own sizes; none where a step is too much for
    this machine, which is then taken to be as fast as it is at other things."""
    name, task = _task(profile, key)
    if BACKWARD * task.train.flops * task.batch * ITERATIONS > affordable():
        return {}
    stamps: list[float] = []
    with checkpoint(_first(profile.params, key[0])) as (root, path):
        run = _detected if key[0] == "detect" else _segmented
        started = now()
        context = Context(key[0], {"row": key[1]}, profile.params, root, lambda step, values: stamps.append(now()))
        look = run(context, path, stamps, _classes(profile, key[0]))
    step = (stamps[1] - stamps[0]) / (ITERATIONS - PERIOD)
    return {
        f"{name} iteration": Rate(step / task.batch, BACKWARD * task.train.flops, stamps[0] - started - PERIOD * step),
        f"{name} evaluation": Rate(look, task.val.flops),
    }


def _scenes(root: Path, layout: str) -> Path:
    """Composed scenes in a layout."""
    folder = root / "scenes"
    folder.mkdir()
    spec = DataParams.model_validate(
        {"layout": layout, "digest": "listing", "derive": "digits", "seed": 0, "images": SCENES}
    )
    (digits.write_coco if layout == "coco" else digits.write_cityscapes)(folder, spec)
    return folder


def _tell_apart(scenes: Path, classes: int) -> None:
    """Let scenes in COCO's layout have at most so many categories: digits share them in turn."""
    for path in (scenes / "annotations").iterdir():
        content = json.loads(path.read_text())
        content["categories"] = content["categories"][:classes]
        for annotation in content["annotations"]:
            annotation["category_id"] = 1 + (annotation["category_id"] - 1) % len(content["categories"])
        path.write_text(json.dumps(content))


def _shortened(params: Params, section: str, **overrides: Any) -> Params:
    old = getattr(params, section)
    new = old.model_copy(
        update={"overrides": {**old.overrides, **{k.replace("__", "."): v for k, v in overrides.items()}}}
    )
    return params.model_copy(update={section: new})


def _detected(context: Context, path: Path, stamps: list[float], classes: int) -> float:
    """Seconds of evaluating an image, after a short training that leaves two time stamps."""
    from genas.pipeline.transfer.detect.config import Setting, configure
    from genas.pipeline.transfer.detect.data import register, val_loader
    from genas.pipeline.transfer.detect.training import train

    scenes = _scenes(context.root, "coco")
    _tell_apart(scenes, classes)
    names = register("trial", scenes)[:2]
    params = _shortened(context.params, "detect", SOLVER__MAX_ITER=ITERATIONS)
    cfg = configure(params.detect, Setting(path, *names, classes, context.device))
    model, _ = train(cfg, context, Scratch(context))
    model.eval()
    batches = list(val_loader(cfg))
    with torch.no_grad():
        return repeated(lambda n: model(batches[n % len(batches)]), 1)


def _segmented(context: Context, path: Path, stamps: list[float], classes: int) -> float:
    """As :func:`_detected`; the framework validates at the end of training."""
    from genas.pipeline.transfer.segment.config import Setting, configure
    from genas.pipeline.transfer.segment.training import train

    length = {"train_cfg__max_iters": ITERATIONS, "train_cfg__val_interval": ITERATIONS}
    params = _shortened(context.params, "segment", **length)
    scenes, names = _scenes(context.root, "cityscapes"), tuple(map(str, range(classes)))
    cfg = configure(params.segment, Setting(path, scenes, "cityscapes", names, context.device, context.root / "work"))
    train(cfg, context, Scratch(context))
    return (now() - stamps[-1]) / (SCENES // 5)


DETECT = SEGMENT = Forecast(work, trial)

"""Semantic segmentation: MMSegmentation trains DeepLab-v3 on a retrained network's maps (paper: Table 4).

The framework's Runner does the work. This stage adds a configuration (pipeline/segment_config.py),
data that depends on the iteration alone (pipeline/transfer/segment/data.py), and a hook that keeps a resumable state. A
killed run that is started again ends, on a CPU, with the same bytes as an unbroken one; on GPUs as far as cuDNN and
the interpolation kernels repeat themselves.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmengine.dist
import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.utils import get_palette, register_all_modules
from PIL import Image
from rich.console import Console
from rich.progress import Progress, TaskID
from safetensors.torch import save_file
from torch import nn

import models.networks.mmseg  # noqa: F401  (registers the backbone)
from models.errors import GenasError
from models.spaces.darts.cost import count_macs
from pipeline.context import Context
from pipeline.data.reading.layouts import dataset_root
from pipeline.data.reading.manifest import read_manifest
from pipeline.machine.distributed import leader, rank, size
from pipeline.machine.resume import Scratch
from pipeline.retrain.network_file import retrained
from pipeline.transfer.segment.config import Scenes, segmenter_config
from pipeline.transfer.segment.data import CITYSCAPES_CLASSES, IGNORE, check_scenes, find_scenes, seed_of

STATE = "state.pt"
LOG_EVERY = 20
"""Iterations over which a line of history.csv is averaged."""
PICTURES = 4
"""Validation images in segmentations.png."""
OPACITY = 0.55
"""Of the classes' colours over a photograph."""


class Keeper(Hook):
    """Seeds every iteration, keeps history and resumable state, reports progress.

    Attributes:
        history: one dict every :data:`LOG_EVERY` iterations: ``iteration``, ``lr`` and the mean of every loss.
        metrics: of the last validation, as MMSegmentation names them, in percent.
    """

    priority = "VERY_LOW"  # after the schedulers have stepped

    def __init__(self, context: Context, scratch: Scratch, seed: int, bar: Progress) -> None:
        self.context, self.scratch, self.seed, self.bar = context, scratch, seed, bar
        self.period = context.params.segment.checkpoint_period
        self.history: list[dict[str, float]] = []
        self.window: list[dict[str, float]] = []
        self.metrics: dict[str, float] = {}
        self.task: TaskID | None = None

    def before_train(self, runner: Runner) -> None:
        """Go on where the scratch folder ends. The loop itself then advances the sampler."""
        state = self.scratch.load(STATE)
        if state is not None:
            _bare(runner.model).load_state_dict(state["model"])
            runner.optim_wrapper.load_state_dict(state["optimizer"])
            for scheduler, saved in zip(runner.param_schedulers, state["schedulers"], strict=True):
                scheduler.load_state_dict(saved)
            self.history, self.window = state["history"], state["window"]
            runner.train_loop._iter = state["iteration"]
            runner.optim_wrapper.initialize_count_status(runner.model, state["iteration"], runner.max_iters)
        self.task = self.bar.add_task("segment", total=runner.max_iters, completed=runner.iter)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Dropout depends on the iteration and the process, not on what was drawn before."""
        torch.manual_seed(seed_of(self.seed, batch_idx, rank()))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Record losses and, every ``checkpoint_period`` iterations, the state (the last iteration's is not needed)."""
        done = batch_idx + 1
        values = {name: torch.as_tensor(value).item() for name, value in outputs.items()}
        if not math.isfinite(values["loss"]):
            raise GenasError(f"segment: the loss is {values['loss']} at iteration {done}, try a lower learning rate")
        self.window.append(values)
        if done % LOG_EVERY == 0 or done == runner.max_iters:
            means = {name: float(np.mean([row[name] for row in self.window])) for name in self.window[0]}
            self.window.clear()
            self.history.append({"iteration": done, "lr": float(runner.optim_wrapper.get_lr()["lr"][0]), **means})
            if leader():
                self.context.log(done, {name: value for name, value in self.history[-1].items() if name != "iteration"})
        assert self.task is not None
        self.bar.update(self.task, completed=done, description=f"segment loss {values['loss']:.3f}")
        if leader() and done % self.period == 0 and done < runner.max_iters:
            self.scratch.save(STATE, self._state(runner, done))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note the validation's metrics, without numpy's types."""
        self.metrics = {name: float(value) for name, value in (metrics or {}).items()}

    def _state(self, runner: Runner, done: int) -> dict[str, Any]:
        return {
            "iteration": done,
            "model": _bare(runner.model).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
            "history": self.history,
            "window": self.window,
        }


def _bare(model: nn.Module) -> nn.Module:
    wrapped: Any = model  # DistributedDataParallel, whose attributes torch does not type
    return wrapped.module if is_model_wrapper(model) else model


def _scenes(context: Context) -> Scenes:
    """The data set of the stage; classes as its manifest lists them, Cityscapes' own 19 where it lists none."""
    name = context.params.segment.dataset
    classes = read_manifest(context, name)["classes"] or CITYSCAPES_CLASSES
    return Scenes(dataset_root(context, name), context.params.data[name].layout, tuple(classes))


def quiet() -> None:
    """Keep off the screen what the framework and torch say that no user can act on."""
    for message in (
        "Fail to import",  # MMCV without compiled operations
        "Default ``avg_non_ignore``",  # a default that stays as it is
        "The draw is False",  # a hook that draws nothing
        "Setting MKL_NUM_THREADS",
        "Grad strides do not match",  # on CPUs, where the backbone works channels-last
    ):
        warnings.filterwarnings("ignore", message, UserWarning)
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)  # MMEngine's own call


def _build(cfg: Config, row: str) -> Runner:
    """The framework's runner, its objects under a name of this run's own, which keeps two runs in one process apart."""
    register_all_modules(init_default_scope=False)
    name = f"{row}-{time.monotonic_ns()}"
    visualizer = {**cfg.visualizer.to_dict(), "name": name}
    return Runner.from_cfg(Config({**cfg.to_dict(), "experiment_name": name, "visualizer": visualizer}))


def _train(cfg: Config, context: Context, scratch: Scratch) -> tuple[Runner, Keeper]:
    """Train to the end, from where the scratch folder ends."""
    runner = _build(cfg, context.row)
    if size() == 1:
        runner.model.to(context.device)  # MMEngine takes a GPU wherever it sees one
    with Progress(console=Console(stderr=True), disable=not (sys.stderr.isatty() and leader())) as bar:
        keeper = Keeper(context, scratch, context.params.segment.seed, bar)
        runner.register_hook(keeper)
        runner.train()
    return runner, keeper


def colours(classes: int) -> np.ndarray:
    """A colour for each class, (classes, 3) in 0..255: Cityscapes' own for 19 classes."""
    if classes == len(CITYSCAPES_CLASSES):
        return np.array(get_palette("cityscapes"), dtype=np.uint8)
    table = colormaps["tab20"] if classes <= 20 else colormaps["hsv"].resampled(classes + 1)
    return (255 * table(range(classes))[:, :3]).round().astype(np.uint8)


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A photograph (H, W, 3) in 0..255 under the colours of its labels (H, W); ignored pixels stay as they are."""
    seen = labels != IGNORE
    mixed = image.copy()
    mixed[seen] = ((1 - OPACITY) * image[seen] + OPACITY * palette[labels[seen]]).round()
    return mixed


def draw_segmentations(runner: Runner, classes: Sequence[str], path: Path) -> None:
    """Evenly spaced validation images, each also under the colours of its labels and of its prediction."""
    palette = colours(len(classes))
    dataset = runner.val_dataloader.dataset
    chosen = sorted({int(i) for i in np.linspace(0, len(dataset) - 1, PICTURES)})
    model: Any = _bare(runner.model).eval()
    figure = Figure(figsize=(9, 1.2 + 2.6 * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 3, squeeze=False)
    for row, index in zip(grid, chosen, strict=True):
        with torch.no_grad():
            sample = model.test_step(pseudo_collate([dataset[index]]))[0]
        with Image.open(sample.img_path) as file:
            image = np.asarray(file.convert("RGB"))
        row[0].imshow(image)
        for axes, labels in zip(row[1:], (sample.gt_sem_seg, sample.pred_sem_seg), strict=True):
            axes.imshow(overlay(image, labels.data.squeeze().cpu().numpy(), palette))
        for axes, title in zip(row, ("image", "labels", "prediction"), strict=True):
            axes.set_axis_off()
            if index == chosen[0]:
                axes.set_title(title)
    patches = [Patch(color=colour / 255, label=name) for name, colour in zip(classes, palette, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def _write(context: Context, cfg: Config, runner: Runner, keeper: Keeper, scenes: Scenes) -> None:
    """The row's files. The configuration leaves out this machine's folders, so that it is the same everywhere."""
    state = {name: value.cpu().contiguous() for name, value in _bare(runner.model).state_dict().items()}
    save_file(state, str(context.out / "weights.safetensors"), metadata={"classes": json.dumps(scenes.classes)})
    pd.DataFrame(keeper.history).to_csv(context.out / "history.csv", index=False)
    draw_segmentations(runner, scenes.classes, context.out / "segmentations.png")
    kept = Config({name: value for name, value in cfg.to_dict().items() if name != "work_dir"})
    (context.out / "config.py").write_text(kept.pretty_text.replace(f"{context.root}{os.sep}", ""))


def _cost(model: nn.Module, size: Sequence[int]) -> dict[str, float]:
    """Parameters and multiply-adds at inference, without the auxiliary head, for one image of (height, width)."""
    params = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("auxiliary_head."))
    height, width = size
    return {"params": params, "macs": count_macs(model, (height, width))}


def run(context: Context) -> dict[str, float]:
    """Train and evaluate the segmenter of a row.

    Reads ``out/retrain/<row>/weights.safetensors`` and the data set's manifest; leaves ``weights.safetensors`` (the
    whole segmenter), ``history.csv``, ``segmentations.png`` and ``config.py``.

    Returns:
        ``miou``, ``macc`` and ``aacc`` of the last iteration on the validation split, in percent; ``params`` and
        ``macs`` of the segmenter (see :func:`_cost`) at the training crop's size.

    Raises:
        GenasError: an unknown base or override, a network file that is no backbone, a data set with missing, broken
            or wrongly labelled files, a loss that is no longer finite.
    """
    quiet()
    section = context.params.segment
    if context.device.type == "cuda" and context.device.index is not None:
        torch.cuda.set_device(context.device)
    weights, scenes = retrained(context), _scenes(context)
    settings = {"segment": section.model_dump(mode="json"), "processes": size()}
    scratch = Scratch(context, settings, [weights, context.output_of("data", section.dataset) / "manifest.json"])
    cfg = segmenter_config(section, scenes, weights, scratch.folder / "work", context.device, size())
    if scratch.load(STATE) is None and leader():
        for split in ("train", "val"):
            check_scenes(find_scenes(scenes.root, scenes.layout, split), len(scenes.classes))

    runner, keeper = _train(cfg, context, scratch)
    metrics = {name: keeper.metrics[key] for name, key in (("miou", "mIoU"), ("macc", "mAcc"), ("aacc", "aAcc"))}
    metrics |= _cost(_bare(runner.model), cfg.model.data_preprocessor.size)
    if leader():
        _write(context, cfg, runner, keeper, scenes)
    mmengine.dist.barrier()
    scratch.close()
    return metrics

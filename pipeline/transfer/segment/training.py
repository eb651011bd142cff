"""Training the segmenter with MMEngine's own runner, in a way that a killed run can take up exactly.

A half-done run holds weights, optimiser, schedules, iteration and the curves so far. It is kept in the stage's scratch
folder instead of the framework's pickles. The framework validates within training, after the last iteration too.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.utils import register_all_modules
from torch import nn

from genas.models.fast.gradients import quicken
from genas.pipeline.context import Context, Log
from genas.pipeline.machine.distributed import leader, rank, size
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.transfer.frameworks.overrides import built_from
from genas.pipeline.transfer.frameworks.training import PERIOD, STATE, lost_loss, progress_bar
from genas.pipeline.transfer.segment.data import seed_of


def unwrapped(model: nn.Module) -> nn.Module:
    """The segmenter without the DistributedDataParallel around it, if there is one."""
    wrapper: Any = model  # its attributes are not typed
    return wrapper.module if is_model_wrapper(model) else model


class History(Hook):
    """Averages the losses over :data:`PERIOD` iterations, shows them live, and keeps them through a restart.

    Attributes:
        rows: a dict for each line of ``history.csv``: ``iteration``, ``lr``, the mean of every loss.
        validation: metrics of the last validation, as MMSegmentation names them, in percent.
    """

    priority = "VERY_LOW"  # after the schedulers have stepped

    def __init__(self, log: Log, bar: Any) -> None:
        self.log, self.bar = log, bar
        self.rows: list[dict[str, float]] = []
        self.window: list[dict[str, float]] = []
        self.validation: dict[str, float] = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Take the newest values.

        Raises:
            GenasError: the loss is no longer finite.
        """
        self.bar.update()
        done = batch_idx + 1
        losses = {name: torch.as_tensor(value).item() for name, value in outputs.items()}
        if not math.isfinite(losses["loss"]):
            raise lost_loss("segment", done, "optim_wrapper.optimizer.lr", "optim_wrapper.clip_grad")
        self.window.append(losses)
        if done % PERIOD and done != runner.max_iters:
            return
        means = {name: float(np.mean([values[name] for values in self.window])) for name in self.window[0]}
        self.window = []
        values = {"lr": float(runner.optim_wrapper.get_lr()["lr"][0]), **means}
        self.rows.append({"iteration": done, **values})
        if leader():
            self.log(done, values)
        self.bar.set_postfix_str(f"loss {values['loss']:.3f}", refresh=False)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note the validation's metrics, without numpy's types."""
        self.validation = {name: float(value) for name, value in (metrics or {}).items()}

    def state_dict(self) -> dict[str, Any]:
        """What a restart needs."""
        return {"rows": self.rows, "window": self.window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with saved curves."""
        self.rows, self.window = state["rows"], state["window"]


class Resume(Hook):
    """Seeds every iteration by its number; saves the half-done run every ``period`` iterations."""

    priority = "VERY_LOW"  # after the schedulers have stepped; registered after the history, whose window it saves

    def __init__(self, scratch: Scratch, history: History, period: int, seed: int) -> None:
        self.scratch, self.history, self.period, self.seed = scratch, history, period, seed

    def before_train(self, runner: Runner) -> None:
        """Go on where the scratch folder ends. The loop itself then advances the sampler."""
        state = self.scratch.load(STATE)
        if state is None:
            return
        unwrapped(runner.model).load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        for scheduler, saved in zip(runner.param_schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        self.history.load_state_dict(state["history"])
        runner.train_loop._iter = state["iteration"]
        runner.optim_wrapper.initialize_count_status(runner.model, state["iteration"], runner.max_iters)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Dropout depends on the iteration and the process, not on what was drawn before."""
        torch.manual_seed(seed_of(self.seed, batch_idx, rank()))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save, if it is time; not at the end, as a loop that has no iteration left does not validate either."""
        done = batch_idx + 1
        if done % self.period or done == runner.max_iters or not leader():
            return
        state = {
            "iteration": done,
            "model": unwrapped(runner.model).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
            "history": self.history.state_dict(),
        }
        self.scratch.save(STATE, state)


def _runner(cfg: Config, context: Context) -> Runner:
    """The framework's runner, its objects under a name of this run's own, which keeps two runs in one process apart."""
    register_all_modules(init_default_scope=False)
    name = f"{context.row}-{time.monotonic_ns()}"
    visualizer = {**cfg.visualizer.to_dict(), "name": name}
    runner = Runner.from_cfg(Config({**cfg.to_dict(), "experiment_name": name, "visualizer": visualizer}))
    if size() == 1:
        runner.model.to(context.device)  # MMEngine takes a GPU wherever it sees one
    segmenter: Any = unwrapped(runner.model)
    quicken(segmenter.backbone)
    return runner


def _build(runner: Runner) -> None:
    """Make what the runner would make when it begins to train, in its own order, and a sample of each loader."""
    loop = runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    validation = runner._val_loop = runner.build_val_loop(runner._val_loop)
    for loader in (loop.dataloader, validation.dataloader):
        assert loader.dataset[0]  # by its plain number, which seeds nothing: the weights are not yet drawn


def train(cfg: Config, context: Context, scratch: Scratch) -> tuple[Runner, History]:
    """Train to the end, from where the scratch folder says an earlier run was.

    Returns:
        The runner, which has the trained segmenter and the validation images; the history with the last validation.

    Raises:
        GenasError: overrides from which nothing can be built, a loss that is no longer finite.
    """
    params = context.params.segment
    with built_from("segment", params.overrides):
        runner = _runner(cfg, context)
        _build(runner)
    done = (scratch.load(STATE) or {"iteration": 0})["iteration"]
    with progress_bar("segment", runner.max_iters, done) as bar:
        history = History(context.log, bar)
        runner.register_hook(history)
        runner.register_hook(Resume(scratch, history, params.checkpoint_period, params.seed))
        runner.train()
    return runner, history

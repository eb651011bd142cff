"""Training the detector with Detectron2's own trainer, in a way that a killed run can take up exactly.

Beyond what the framework itself keeps (weights, optimiser, schedule, iteration), a half-done run holds RetinaNet's
running count of positive anchors, by which the loss is divided and which is no part of the model's state, and the
curves so far. It is kept in the stage's scratch folder instead of the framework's pickles.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, HookBase, SimpleTrainer, create_ddp_model, hooks
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.utils import comm
from tqdm import tqdm

from models.errors import GenasError
from pipeline.context import Log
from pipeline.machine.resume import Scratch
from pipeline.transfer.detect.data import train_loader

STATE = "training.pt"
LOSSES = ("total_loss", "loss_cls", "loss_box_reg")
PERIOD = 20
"""Iterations between two points of the curves, each the mean since the one before (Detectron2's own period)."""


class Curves(HookBase):
    """Collects the losses and the learning rate, shows them live, and keeps them through a restart.

    ``rows`` holds (iteration, total_loss, loss_cls, loss_box_reg, lr).
    """

    def __init__(self, log: Log, start: int, iterations: int) -> None:
        self.rows: list[list[float]] = []
        self.window: list[list[float]] = []
        self.log = log
        disable = None if comm.is_main_process() else True  # None: shown only where stderr is a terminal
        self.bar = tqdm(total=iterations, initial=start, desc="detect", unit="it", disable=disable)

    def after_step(self) -> None:
        """Take the newest values."""
        self.bar.update()
        if not comm.is_main_process():
            return
        latest = self.trainer.storage.latest()
        self.window.append([latest[name][0] for name in LOSSES])
        done = self.trainer.iter + 1
        if done % PERIOD and done != self.trainer.max_iter:
            return
        means = [sum(column) / len(column) for column in zip(*self.window, strict=True)]
        self.rows.append([done, *means, latest["lr"][0]])
        self.window = []
        self.log(done, {**dict(zip(LOSSES, means, strict=True)), "lr": latest["lr"][0]})
        self.bar.set_postfix_str(f"loss {means[0]:.3f}", refresh=False)

    def after_train(self) -> None:
        """Close the progress bar, also when training ended in an exception."""
        self.bar.close()

    def state_dict(self) -> dict[str, Any]:
        """What a restart needs; the trainer saves it."""
        return {"rows": self.rows, "window": self.window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with saved curves."""
        self.rows, self.window = state["rows"], state["window"]


class Resume(HookBase):
    """Saves the half-done run every ``period`` iterations and at the end."""

    def __init__(self, scratch: Scratch, model: RetinaNet, period: int, seed: int) -> None:
        self.scratch, self.model, self.period, self.seed = scratch, model, period, seed

    def before_step(self) -> None:
        """Seed whatever a step may draw, so that a step does the same after a restart."""
        torch.manual_seed(self.seed + self.trainer.iter * comm.get_world_size() + comm.get_rank())

    def after_step(self) -> None:
        """Save, if it is time."""
        done = self.trainer.iter + 1
        if done % self.period and done != self.trainer.max_iter:
            return
        normalizers = comm.gather(getattr(self.model, "loss_normalizer", None))
        if comm.is_main_process():
            state = {"model": self.model.state_dict(), "trainer": self.trainer.state_dict(), "normalizers": normalizers}
            self.scratch.save(STATE, state)


def restore(state: dict[str, Any], model: RetinaNet, trainer: SimpleTrainer) -> None:
    """Put a saved state into a model and its trainer."""
    model.load_state_dict(state["model"])
    trainer.load_state_dict(state["trainer"])
    normalizer = state["normalizers"][comm.get_rank()]
    if normalizer is not None:
        model.loss_normalizer = normalizer


def train(cfg: CfgNode, scratch: Scratch, period: int, log: Log) -> tuple[RetinaNet, list[list[float]]]:
    """Train ``cfg``'s detector to the end, from where the scratch folder says an earlier run was.

    Args:
        cfg: the configuration.
        scratch: where half-done work is kept.
        period: iterations between two half-done states.
        log: receives the curves.

    Returns:
        The trained detector and the rows of :class:`Curves`.

    Raises:
        GenasError: an image that cannot be read, a loss that is no longer finite.
    """
    torch.manual_seed(cfg.SEED)
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    state = scratch.load(STATE)
    # The saved iteration is the one that was just finished.
    start, end = state["trainer"]["iteration"] + 1 if state else 0, cfg.SOLVER.MAX_ITER
    devices = [torch.cuda.current_device()] if cfg.MODEL.DEVICE.startswith("cuda") else None
    parallel = create_ddp_model(model, forward_sync_buffers=False, device_ids=devices)
    kind = AMPTrainer if cfg.SOLVER.AMP.ENABLED else SimpleTrainer
    trainer = kind(parallel, train_loader(cfg, start), optimizer)
    curves = Curves(log, start, end)
    resume = Resume(scratch, model, period, cfg.SEED)
    trainer.register_hooks([hooks.LRScheduler(optimizer, scheduler), curves, resume])
    if state:
        restore(state, model, trainer)
    if start < end:
        try:
            # RetinaNet's focal loss is TorchScript, whose executor rewrites it after watching its first calls in a
            # process, which changes the last bits: a run taken up by another process would not end the same.
            with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # exported, not declared so
                trainer.train(start, end)
        except FloatingPointError:
            advice = "lower SOLVER.BASE_LR or set SOLVER.CLIP_GRADIENTS.ENABLED in detect.overrides"
            raise GenasError(f"the loss is no longer finite at iteration {trainer.iter}: {advice}") from None
    return model, curves.rows

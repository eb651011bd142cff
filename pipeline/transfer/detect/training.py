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

from genas.models.fast.gradients import quicken
from genas.pipeline.context import Context, Log
from genas.pipeline.machine.distributed import leader, rank, size
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.transfer.detect.data import train_loader, val_loader
from genas.pipeline.transfer.frameworks.overrides import built_from
from genas.pipeline.transfer.frameworks.training import PERIOD, STATE, lost_loss, progress_bar

LOSSES = ("total_loss", "loss_cls", "loss_box_reg")


class History(HookBase):
    """Averages the losses over :data:`PERIOD` iterations, shows them live, and keeps them through a restart.

    Attributes:
        rows: a dict for each line of ``history.csv``: ``iteration``, the mean of every loss, ``lr``.
    """

    def __init__(self, log: Log, bar: Any) -> None:
        self.log, self.bar = log, bar
        self.rows: list[dict[str, float]] = []
        self.window: list[list[float]] = []

    def after_step(self) -> None:
        """Take the newest values; of several processes the first alone has them."""
        self.bar.update()
        if not leader():
            return
        latest = self.trainer.storage.latest()
        self.window.append([latest[name][0] for name in LOSSES])
        done = self.trainer.iter + 1
        if done % PERIOD and done != self.trainer.max_iter:
            return
        means = [sum(column) / len(column) for column in zip(*self.window, strict=True)]
        self.window = []
        values = {**dict(zip(LOSSES, means, strict=True)), "lr": latest["lr"][0]}
        self.rows.append({"iteration": done, **values})
        self.log(done, values)
        self.bar.set_postfix_str(f"loss {values['total_loss']:.3f}", refresh=False)

    def state_dict(self) -> dict[str, Any]:
        """What a restart needs; the trainer saves it."""
        return {"rows": self.rows, "window": self.window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with saved curves."""
        self.rows, self.window = state["rows"], state["window"]


class Resume(HookBase):
    """Seeds every step by its iteration; saves the half-done run every ``period`` iterations and at the end."""

    def __init__(self, scratch: Scratch, model: RetinaNet, period: int, seed: int) -> None:
        self.scratch, self.model, self.period, self.seed = scratch, model, period, seed

    def restore(self, state: dict[str, Any]) -> None:
        """Put a saved state into the model and its trainer, which hands the other hooks their part."""
        self.model.load_state_dict(state["model"])
        self.trainer.load_state_dict(state["trainer"])
        normalizer = state["normalizers"][rank()]
        if normalizer is not None:
            self.model.loss_normalizer = normalizer

    def before_step(self) -> None:
        """Seed whatever a step may draw, so that a step does the same after a restart."""
        torch.manual_seed(self.seed + self.trainer.iter * size() + rank())

    def after_step(self) -> None:
        """Save, if it is time; the state at the end serves an evaluation that is killed."""
        done = self.trainer.iter + 1
        if done % self.period and done != self.trainer.max_iter:
            return
        normalizers = comm.gather(getattr(self.model, "loss_normalizer", None))
        if leader():
            state = {"model": self.model.state_dict(), "trainer": self.trainer.state_dict(), "normalizers": normalizers}
            self.scratch.save(STATE, state)


def _trainer(cfg: CfgNode, start: int) -> tuple[SimpleTrainer, RetinaNet]:
    """The framework's trainer, its batches from iteration ``start`` on, and the detector without what wraps it.

    A sample of each loader is made, so that what is wrong with their configuration shows before the first iteration.
    """
    torch.manual_seed(cfg.SEED)
    model = build_model(cfg)
    quicken(model.backbone)
    optimizer = build_optimizer(cfg, model)
    scheduler = build_lr_scheduler(cfg, optimizer)
    devices = [torch.cuda.current_device()] if cfg.MODEL.DEVICE.startswith("cuda") else None
    parallel = create_ddp_model(model, forward_sync_buffers=False, device_ids=devices)
    kind = AMPTrainer if cfg.SOLVER.AMP.ENABLED else SimpleTrainer
    batches = train_loader(cfg, start)
    for sample in (batches.loader.dataset[0, start, rank(), 0], val_loader(cfg).loader.dataset[0]):
        assert sample
    trainer = kind(parallel, batches, optimizer)
    trainer.register_hooks([hooks.LRScheduler(optimizer, scheduler)])
    return trainer, model


def train(cfg: CfgNode, context: Context, scratch: Scratch) -> tuple[RetinaNet, list[dict[str, float]]]:
    """Train to the end, from where the scratch folder says an earlier run was.

    Returns:
        The trained detector and the rows of :class:`History`.

    Raises:
        GenasError: overrides from which nothing can be built, an image that cannot be read, a loss that is no longer
            finite.
    """
    state = scratch.load(STATE)
    # The saved iteration is the one that was just finished.
    start, end = state["trainer"]["iteration"] + 1 if state else 0, cfg.SOLVER.MAX_ITER
    with built_from("detect", context.params.detect.overrides):
        trainer, model = _trainer(cfg, start)
    with progress_bar("detect", end, start) as bar:
        history = History(context.log, bar)
        resume = Resume(scratch, model, context.params.detect.checkpoint_period, cfg.SEED)
        trainer.register_hooks([history, resume])
        if state:
            resume.restore(state)
        if start < end:
            try:
                # RetinaNet's focal loss is TorchScript, whose executor rewrites it after watching its first calls in a
                # process, which changes the last bits: a run taken up by another process would not end the same.
                with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # exported, not declared so
                    trainer.train(start, end)
            except FloatingPointError:
                keys = "SOLVER.BASE_LR", "SOLVER.CLIP_GRADIENTS.ENABLED"
                raise lost_loss("detect", trainer.iter + 1, *keys) from None
    return model, history.rows

"""What the training loops of both frameworks have in common: half-done work, the progress bar, a loss that is lost.

A run that was killed goes on from :data:`STATE`. Each framework has two hooks of its own: ``History`` collects the
curves, ``Resume`` seeds every step by its iteration and saves the state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from genas.models.errors import GenasError
from genas.pipeline.config import DetectParams, SegmentParams
from genas.pipeline.context import Context
from genas.pipeline.machine.distributed import leader, size
from genas.pipeline.machine.resume import Scratch

STATE = "state.pt"
"""The half-done run in the scratch folder."""
PERIOD = 20
"""Iterations over which a line of ``history.csv`` is averaged (Detectron2's own period)."""


def open_scratch(context: Context, section: DetectParams | SegmentParams, checkpoint: Path) -> Scratch:
    """The scratch folder of a row.

    Args:
        context: the row; its parameters and the number of processes are all that the result depends on.
        section: the stage's parameters, which name the data set.
        checkpoint: the network file; with the data set's manifest, the inputs.
    """
    inputs = [checkpoint, context.output_of("data", section.dataset) / "manifest.json"]
    return Scratch(context, inputs, processes=size())


def progress_bar(stage: str, iterations: int, done: int) -> Any:
    """A bar of iterations, the first process's alone, and only where stderr is a terminal; a context manager."""
    return tqdm(total=iterations, initial=done, desc=stage, unit="it", disable=None if leader() else True)


def lost_loss(stage: str, iteration: int, rate: str, clipping: str) -> GenasError:
    """The error for a loss that is no longer finite.

    Args:
        stage: ``detect`` or ``segment``.
        iteration: counted from 1.
        rate: the framework's key of the learning rate.
        clipping: the framework's key of gradient clipping.
    """
    advice = f"lower {rate} or set {clipping} in {stage}.overrides"
    return GenasError(f"{stage}: the loss is no longer finite at iteration {iteration}: {advice}")

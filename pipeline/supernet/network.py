"""The supernet of a row of the DARTS space: before training, and as training left it."""

from __future__ import annotations

from functools import partial

import torch

from genas.models.fast.gradients import quicken
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline.config import SupernetParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import memory_format
from genas.pipeline.supernet.weights import load_pair, weights_of


def training_of(context: Context) -> SupernetParams:
    """How the supernet of the row's data set is trained."""
    return context.params.supernet[context.axes["dataset"]]


def build_supernet(context: Context, num_classes: int) -> Supernet:
    """The supernet of a row before training; its weights depend only on its seed."""
    torch.manual_seed(context.seed("supernet"))
    params = training_of(context)
    network = Supernet(num_classes, params.channels, params.layers, stem=params.stem)
    network = network.to(context.device).to(memory_format=memory_format(params))
    return quicken(network) if params.trainer == "fast" else network


def load_supernets(context: Context, num_classes: int) -> tuple[Supernet, Supernet]:
    """The row's initial and trained supernet, for a stage that reads them.

    Raises:
        GenasError: the weights are of another shape than ``params.yaml`` says.
    """
    return load_pair(partial(build_supernet, context, num_classes), weights_of(context, "supernet"))

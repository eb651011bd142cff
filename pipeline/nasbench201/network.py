"""The supernet of a row of NAS-Bench-201: before training, and as training left it or on the way."""

from __future__ import annotations

from functools import partial

import torch

from genas.models.fast.gradients import quicken
from genas.models.spaces.nasbench201.network import NasBench201
from genas.pipeline.config import Supernet201Params
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import memory_format
from genas.pipeline.supernet.weights import load_pair, weights_of


def training_of(context: Context) -> Supernet201Params:
    """How the row's supernet is trained: its recipe."""
    return context.params.nasbench201.required.recipes[context.axes["recipe"]]


def build(context: Context, num_classes: int) -> NasBench201:
    """The supernet of a row before training; its weights depend only on the seed."""
    torch.manual_seed(context.seed("supernet"))
    params = training_of(context)
    network = NasBench201(num_classes, params.channels, params.cells, affine=params.affine)
    network = network.to(context.device).to(memory_format=memory_format(params))
    return quicken(network) if params.trainer == "fast" else network


def load(context: Context, num_classes: int) -> tuple[NasBench201, NasBench201]:
    """The row's initial and trained supernet.

    Raises:
        GenasError: the weights are of another shape than ``params.yaml`` says.
    """
    return load_pair(partial(build, context, num_classes), weights_of(context, "supernet201"))

"""The ``curvature`` stage: how the loss of a retrained network rises around its minimum (Figure 3).

The noise is that of Eq. 3, on all weights, a function of seed, draw, the weight's name and sigma: networks that share a
weight's name and shape share its noise. BatchNorm keeps the statistics of training.
"""

from __future__ import annotations

import copy
from typing import cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from genas.models.networks.files.checkpoint import load_network, read_header
from genas.pipeline.config import CurvatureParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.images import Pictures, evenly, pictures
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.data.reading.layouts import dataset_root, index_of
from genas.pipeline.measures import Array
from genas.pipeline.measures.flatness import flatness
from genas.pipeline.probe.noise import standard_noise
from genas.pipeline.retrain.evaluation import logits_of, top_k
from genas.pipeline.retrain.network_file import retrained


@torch.no_grad()
def perturbed(network: nn.Module, sigma: float, seed: int, draw: int) -> nn.Module:
    """A copy of a network with theta + N(0, sigma^2) in the place of its parameters theta (Eq. 3)."""
    moved = copy.deepcopy(network)
    for name, parameter in moved.named_parameters():
        parameter.add_(sigma * standard_noise(parameter.shape, seed, draw, name, sigma).to(parameter.device))
    return moved


def curve(network: nn.Module, data: Pictures, params: CurvatureParams, workers: int = 0) -> Array:
    """Mean cross-entropy (nats) and top-1 (percent) at each sigma for each draw, (draws, sigmas, 2).

    At most ``images`` images are taken, evenly spaced, since data sets are sorted by class.
    """
    some = Subset(cast(Dataset[tuple[Tensor, Tensor]], data), evenly(len(data), params.images).tolist())

    def seen(network: nn.Module) -> tuple[float, float]:
        logits, labels = logits_of(network, cast(Pictures, some), params.batch_size, workers)
        return float(F.cross_entropy(logits.double(), labels)), top_k(logits, labels, 1)

    first, *others = params.sigma
    assert first == 0, "params.yaml was validated"
    unperturbed = seen(network)
    return np.array(
        [
            [unperturbed, *(seen(perturbed(network, sigma, params.seed, draw)) for sigma in others)]
            for draw in range(params.draws)
        ]
    )


def table(values: Array, params: CurvatureParams) -> pd.DataFrame:
    """A curve as ``curve.csv`` has it: ``sigma``, then ``loss`` and ``top1``, means over draws with their standard
    deviation (``_deviation``; 0 of one draw)."""
    apart = values - values[0]  # so that equal draws have their own value as mean, and no deviation
    mean = values[0] + apart.mean(0)
    deviation = apart.std(0, ddof=1) if len(values) > 1 else np.zeros_like(mean)
    columns = {"loss": mean[:, 0], "loss_deviation": deviation[:, 0]}
    columns |= {"top1": mean[:, 1], "top1_deviation": deviation[:, 1]}
    return pd.DataFrame({"sigma": params.sigma, **columns})


def run(context: Context) -> dict[str, float]:
    """Perturb one row's network; leaves ``curve.csv``.

    Returns:
        ``flatness`` by Eq. 4 of the curve beyond sigma 0, the mean over draws; ``loss`` (nats) and ``top1`` (percent)
        of the same images without noise; ``loss_rise`` (nats) from there to the largest sigma.

    Raises:
        GenasError: a network file that is not the row's, a validation set that is missing or unreadable.
    """
    params, retrain = context.params.curvature, context.params.retrain
    weights = retrained(context)
    network, header = load_network(weights, context.device), read_header(weights)
    root, layout = dataset_root(context, params.trained_on), context.params.data[params.trained_on].layout
    val = pictures(root, layout, "val", list(header.classes), index_of(context, params.trained_on))
    val.transform = evaluation_transform(header.preprocessing)
    values = curve(network.to(memory_format=torch.channels_last), val, params, retrain.workers)
    found = table(values, params)
    found.to_csv(context.out / "curve.csv", index=False)
    flat = [flatness(losses[1:], params.sigma[1:], params.alpha) for losses in values[..., 0]]
    first, last = found.iloc[0], found.iloc[-1]
    return {
        "flatness": float(np.mean(flat)),
        "loss": float(first["loss"]),
        "loss_rise": float(last["loss"] - first["loss"]),
        "top1": float(first["top1"]),
    }

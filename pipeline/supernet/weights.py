"""The weights that a supernet's training leaves, as the stages read them that look into the supernet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from safetensors.torch import load_file
from torch import nn

from genas.models.spaces.base.weights import load_state
from genas.pipeline.context import Context

INITIAL, TRAINED = "initial.safetensors", "trained.safetensors"
"""Before and after training."""
SNAPSHOTS = "snapshots"
"""Folder of those on the way."""
Network = TypeVar("Network", bound=nn.Module)


class Weights(NamedTuple):
    """The files of a supernet before training, and as training left it or on the way."""

    initial: Path
    trained: Path


def weights_of(context: Context, stage: str) -> Weights:
    """The supernet that a row looks into: that of its data set, recipe if it has one, and seed, which ``stage``
    trained; as training left it or, if the row has an epoch, as the snapshot of that epoch has it."""
    axes = [context.axes[name] for name in ("dataset", "recipe") if name in context.axes]
    row = "-".join([*axes, str(context.seed("supernet"))])
    folder, epoch = context.output_of(stage, row), context.axes.get("epoch")
    return Weights(folder / INITIAL, folder / TRAINED if epoch is None else snapshot(folder, int(epoch)))


def snapshot(folder: Path, epochs: int) -> Path:
    """The file of the weights after so many epochs, of a supernet whose training kept them in ``folder``."""
    return folder / SNAPSHOTS / f"{epochs}.safetensors"


def load_pair(build: Callable[[], Network], weights: Weights) -> tuple[Network, Network]:
    """The initial and the trained network, the latter with the BatchNorm statistics that training left.

    Args:
        build: a network whose weights may be anything.
        weights: what they are to be.

    Raises:
        GenasError: the weights are of another shape than the network.
    """
    pair = []
    for file in weights:
        network = build()
        load_state(network, load_file(str(file)), file)
        pair.append(network)
    return pair[0], pair[1]

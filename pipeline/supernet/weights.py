"""The weights that a supernet's training leaves, as the stages read them that look into the supernet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file
from torch import nn

from models.spaces.base.weights import load_state
from pipeline.context import Context

INITIAL, TRAINED = "initial.safetensors", "trained.safetensors"
"""Before and after training."""
SNAPSHOTS = "snapshots"
"""Folder of those on the way."""
Network = TypeVar("Network", bound=nn.Module)


def weights_folder(context: Context, stage: str) -> Path:
    """Where the supernet of the row's data set, recipe if it has one, and seed is, which ``stage`` trained."""
    axes = [context.axes[name] for name in ("dataset", "recipe", "seed") if name in context.axes]
    return context.output_of(stage, "-".join(axes))


def snapshot(folder: Path, epochs: int) -> Path:
    """The weights after so many epochs, of a supernet whose training kept them in ``folder``."""
    return folder / SNAPSHOTS / f"{epochs}.safetensors"


def load_pair(build: Callable[[], Network], folder: Path) -> tuple[Network, Network]:
    """The initial and the trained network in a folder, the latter with the BatchNorm statistics that training left.

    Args:
        build: a network whose weights may be anything.
        folder: where training left them.

    Raises:
        GenasError: the weights are of another shape than the network.
    """
    pair = []
    for name in (INITIAL, TRAINED):
        network = build()
        load_state(network, load_file(str(folder / name)), folder / name)
        pair.append(network)
    return pair[0], pair[1]

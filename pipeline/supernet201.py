"""The ``supernet201`` stage: the one-shot network of NAS-Bench-201, trained as that of the DARTS space is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from models.nasbench201 import EDGES, OPERATIONS, Cell201, NasBench201, random_cell
from models.weights import load_state
from pipeline.context import Context
from pipeline.search_data import memory_format
from pipeline.supernet import INITIAL, TRAINED, train


def uniform(rng: np.random.Generator) -> Iterator[Cell201]:
    """Paths drawn uniformly."""
    while True:
        yield random_cell(rng)


def fair(rng: np.random.Generator) -> Iterator[Cell201]:
    """Paths in rounds of five, in which each operation of each edge has one turn (Chu et al., FairNAS, 2021)."""
    while True:
        turns = rng.permuted(np.tile(np.arange(len(OPERATIONS)), (len(EDGES), 1)), axis=1)
        for turn in turns.T:
            yield Cell201(tuple(OPERATIONS[i] for i in turn))


DRAWS = {"uniform": uniform, "fair": fair}


def build(context: Context, num_classes: int) -> NasBench201:
    """The supernet of a row before training; its weights depend only on the seed."""
    torch.manual_seed(int(context.axes["seed"]))
    params = context.params.nasbench201.required.supernet
    network = NasBench201(num_classes, params.channels, params.cells)
    return network.to(context.device).to(memory_format=memory_format(params))


def weights_folder(context: Context) -> Path:
    """Where the supernet of the row is."""
    return context.output_of("supernet201", context.row)


def load(context: Context, num_classes: int) -> tuple[NasBench201, NasBench201]:
    """The row's initial and trained supernet, the latter with the BatchNorm statistics that training left.

    Raises:
        GenasError: the weights are of another shape than ``params.yaml`` says.
    """
    pair = []
    for name in (INITIAL, TRAINED):
        network = build(context, num_classes)
        path = weights_folder(context) / name
        load_state(network, load_file(str(path)), path)
        pair.append(network)
    return pair[0], pair[1]


def run(context: Context) -> dict[str, float]:
    """Train one supernet; leaves initial and trained weights and the history."""
    settings = context.params.nasbench201.required
    draw = DRAWS[settings.supernet.sampling]
    return train(context, partial(build, context), settings.supernet, settings.measures, draw)

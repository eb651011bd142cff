"""The ``supernet`` stage: the one-shot network of the DARTS space, which holds every architecture (Section 3.1)."""

from __future__ import annotations

from functools import partial

from models.spaces.darts.genotype import random_genotype
from pipeline.context import Context
from pipeline.supernet.network import build_supernet
from pipeline.supernet.training import draw_uniformly, train


def run(context: Context) -> dict[str, float]:
    """Train the supernet of the DARTS space; leaves initial and trained weights and the history."""
    params, draw = context.params, draw_uniformly(random_genotype)
    return train(context, partial(build_supernet, context), params.supernet, params.measures, draw)

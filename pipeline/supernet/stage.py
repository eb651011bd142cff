"""The ``supernet`` stage: the one-shot network of the DARTS space, which holds every architecture (Section 3.1)."""

from __future__ import annotations

from functools import partial

from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.context import Context
from genas.pipeline.supernet.network import build_supernet, training_of
from genas.pipeline.supernet.training import draw_uniformly, train


def run(context: Context) -> dict[str, float]:
    """Train the supernet of the DARTS space; leaves initial and trained weights and the history."""
    draw = draw_uniformly(random_genotype)
    return train(context, partial(build_supernet, context), training_of(context), context.params.measures, draw)

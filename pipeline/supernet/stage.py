"""The ``supernet`` stage: the one-shot network of the DARTS space, which holds every architecture (Section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from models.spaces.darts.genotype import Genotype, random_genotype
from pipeline.context import Context
from pipeline.supernet.network import build_supernet
from pipeline.supernet.training import train


def uniform(rng: np.random.Generator) -> Iterator[Genotype]:
    """Paths of the DARTS space, each drawn uniformly (Section 3.1)."""
    while True:
        yield random_genotype(rng)


def run(context: Context) -> dict[str, float]:
    """Train the supernet of the DARTS space."""
    params = context.params
    return train(context, partial(build_supernet, context), params.supernet, params.measures, uniform)

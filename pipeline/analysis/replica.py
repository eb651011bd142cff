"""The ``replica`` stage: a supernet that repeats another one, and what the same architectures score in it.

The split of its images and all else in its training have a seed each. The same random architectures are then scored
under several draws of the noise and on several parts of its held-out images, every combination once. Over all replicas
that is a crossed design, from which :mod:`genas.pipeline.results.anatomy` tells what a score's variance consists of.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import pandas as pd
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype, sample, spelled
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline import measures
from genas.pipeline.config import MeasureParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.machine.distributed import leader
from genas.pipeline.probe.fast import make_probe, settled
from genas.pipeline.probe.images import load_probe_data
from genas.pipeline.supernet import stage as supernet
from genas.pipeline.supernet.network import build_supernet, training_of
from genas.pipeline.supernet.weights import INITIAL, TRAINED, Weights, load_pair

Pair = tuple[Supernet, Supernet]
"""The supernet before and after training."""


def scores(
    context: Context, networks: Pair, data: SearchData, params: MeasureParams, genotypes: list[Genotype]
) -> Iterator[dict[str, str | int | float]]:
    """Of every combination of a draw of the noise, a part of the held-out images and an architecture: ``architecture``,
    ``draw``, ``part`` and every measure. The draws are those of the seeds 0, 1, ... in all replicas."""
    settings, (initial, trained) = context.params.replica, networks
    for draw, part in tqdm([*product(range(settings.draws), range(settings.parts))], "scores", disable=None):
        seen = slice(part * params.images, (part + 1) * params.images)
        own = data._replace(held_images=data.held_images[seen], held_labels=data.held_labels[seen])
        probe = make_probe(trained, own, params, draw, initial)
        for genotype in genotypes:
            taken = measures.take(probe, genotype, settings.measures)
            kept = {name: taken[name] for name in settings.measures}
            yield {"architecture": spelled(genotype.encode()), "draw": draw, "part": part, **kept}


def run(context: Context) -> dict[str, float]:
    """Train the supernet and score architectures in it; leaves its weights and history, and ``scores.parquet``.

    Raises:
        GenasError: as the training of a supernet, or too few images are held out.
    """
    settings, images = context.params.replica, context.params.measures.images
    metrics = supernet.run(context)
    if not leader():
        return metrics
    wanted = context.params.measures.model_copy(update={"images": images * settings.parts})
    data = load_probe_data(context, training_of(context), wanted)
    if len(data.held_labels) < wanted.images:
        held = len(data.held_labels)
        raise GenasError(f"replica.parts: {settings.parts} of measures.images {images} each, but {held} are held out")
    build = partial(build_supernet, context, data.num_classes)
    networks = load_pair(build, Weights(context.out / INITIAL, context.out / TRAINED))
    params = settled(context.params.measures, Supernet.space, context.device, training_of(context).stem)
    context.notes["scorer"] = params.scorer
    # The same architectures in all replicas, whatever their seeds.
    found = scores(context, networks, data, params, sample(settings.architectures, 0))
    pd.DataFrame(found).to_parquet(context.out / "scores.parquet", index=False)
    return metrics

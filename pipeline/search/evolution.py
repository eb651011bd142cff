"""Evolution over architectures (Section 3.2; official search.py), apart from what a candidate is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from genas.models.errors import GenasError
from genas.models.spaces.darts.cost import IMAGENET_SHAPE, network_cost
from genas.models.spaces.darts.genotype import Genotype, cross, mutate, random_genotype
from genas.pipeline import measures
from genas.pipeline.config import MeasureParams, MetricParams, SearchParams
from genas.pipeline.search import proposing
from genas.pipeline.search.candidates import Candidate
from genas.pipeline.search.proposing import Moves


def budget(params: SearchParams, metric: MetricParams) -> SearchParams:
    """What a metric's strategy may spend: ``none`` has a single proposal, the first that is drawn."""
    single = {"population": 1, "generations": 1, "parents": 1, "mutated": 0, "crossed": 0}
    return params.model_copy(update=single) if metric.strategy == "none" else params


def allowed(genotype: Genotype, params: SearchParams) -> bool:
    """Whether an architecture keeps to ``max_params`` and ``max_macs``."""
    if params.max_params is None and params.max_macs is None:
        return True
    cost = network_cost(genotype, 224, **IMAGENET_SHAPE)
    return cost.params <= (params.max_params or math.inf) and cost.macs <= (params.max_macs or math.inf)


def propose(
    parents: list[Genotype], seen: set[Genotype], params: SearchParams, rng: np.random.Generator
) -> list[Genotype]:
    """The next population: mutated and crossed parents, filled up at random, never an architecture seen before.

    Args:
        parents: best first; empty in the first generation and in random search.
        seen: every architecture proposed so far; grows by those returned.
        params: sizes, probabilities and limits.
        rng: the generation's source of randomness.

    Raises:
        GenasError: the limits leave too few architectures.
    """
    moves = Moves(
        draw=random_genotype,
        mutate=lambda parent, rng: mutate(parent, rng, params.mutation_probability, params.mutate_cells),
        cross=cross,
        allowed=lambda genotype: allowed(genotype, params),
    )
    population = proposing.propose(parents, seen, params, moves, rng)
    if len(population) < params.population:
        limits = f"max_params {params.max_params}, max_macs {params.max_macs}"
        raise GenasError(f"search: hardly any architecture keeps to {limits}; found {len(population)}")
    return population


def rate(candidates: Sequence[Candidate], metric: MetricParams, params: MeasureParams) -> None:
    """Set every candidate's ``score``: None in quarantine and where it was dropped, else what the metric makes of all
    those measured."""
    sound = [candidate for candidate in candidates if not candidate["error"] and not candidate.get("dropped")]
    values = {name: [candidate[name] for candidate in sound] for name in metric.terms}
    for candidate, score in zip(sound, measures.combine(values, metric, params), strict=True):
        candidate["score"] = float(score)


def flatness_share(candidates: Sequence[Candidate], metric: MetricParams, params: MeasureParams) -> float:
    """The part of flatness in the absolute score, averaged over the candidates that have one, in percent (Table 8,
    second column)."""
    sound = [candidate for candidate in candidates if candidate["score"] is not None]
    parts = {
        name: np.abs(weight * measures.scaled({name: [c[name] for c in sound]}, name, params))
        for name, weight in metric.terms.items()
    }
    whole = np.sum(list(parts.values()), axis=0)
    part = parts.get("flatness", np.zeros_like(whole))
    return float(100 * np.mean(np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)))


def best_of(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """The best scored candidates, best first; ties by encoding, quarantined ones never."""
    scored = [c for c in candidates if c["score"] is not None]
    return sorted(scored, key=lambda c: (-c["score"], c["encoding"]))[:count]


def summary(candidates: Sequence[Candidate], generation: int) -> dict[str, float]:
    """A history row: best so far, and median and worst of this generation's scores."""
    scores = [c["score"] for c in candidates if c["generation"] == generation and c["score"] is not None]
    best = best_of(candidates, 1)
    return {
        "best": best[0]["score"] if best else math.nan,
        "median": float(np.median(scores)) if scores else math.nan,
        "worst": min(scores, default=math.nan),
    }

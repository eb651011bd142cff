"""What early decisions cost and save (``genas bench early``).

A full search is run once, and what each candidate shows of each image is kept. Then the same generations are decided
early, with the images in many random orders: as long as no parent is dropped, the candidates that follow are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.config import EarlyParams, MeasureParams, MetricParams, load_params
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import load_search_data
from genas.pipeline.probe.fast import make_probe
from genas.pipeline.scoring.early import Evidence, reach, rounds, take_early
from genas.pipeline.scoring.measuring import EVIDENCE
from genas.pipeline.search.candidates import Candidate
from genas.pipeline.search.evolution import best_of, propose, rate
from genas.pipeline.search.stage import search_of
from genas.pipeline.supernet.network import load_supernets, training_of


def full_search(context: Context, metric: MetricParams) -> list[Candidate]:
    """Every candidate of a search to the end."""
    params, seed = search_of(context), int(context.axes["seed"])
    data = load_search_data(context, training_of(context))
    initial, trained = load_supernets(context, data.num_classes)
    probe = make_probe(trained, data, context.params.measures, seed, initial)
    whole = EarlyParams(shares=(0.5,), confidence=0.99)  # without a bar nothing is dropped
    seen: set[Genotype] = set()
    candidates: list[Candidate] = []
    with tqdm(total=params.generations * params.population, desc="full search", disable=None) as bar:
        for generation in range(params.generations):
            rng = np.random.default_rng([seed, 4, generation])
            elders = [Genotype.decode(c["encoding"]) for c in best_of(candidates, params.parents)]
            for genotype in propose(elders, seen, params, rng):
                values, evidence = take_early(probe, genotype, metric, whole, None)
                about = {"encoding": list(genotype.encode()), "generation": generation, "error": "", EVIDENCE: evidence}
                candidates.append({**about, **values})
                bar.update()
            rate(candidates, metric, context.params.measures)
    return candidates


def replay(
    candidates: list[Candidate],
    order: np.ndarray,
    parents: int,
    metric: MetricParams,
    params: MeasureParams,
    early: EarlyParams,
) -> tuple[bool, float]:
    """What early decisions do to a search, the images in another order.

    Returns:
        Whether none was dropped that was ever a parent, so that the search is the same; and the share of the full
        search's passes over images, perturbed ones and those of recalibration, that they take.
    """
    total = len(order)
    fixed = params.recalibrate_images
    noises = sum(len(seen) for seen in candidates[0][EVIDENCE].images.values())
    kept = True
    passes = 0
    shuffled = {
        id(candidate): Evidence(
            {name: seen[:, order] for name, seen in candidate[EVIDENCE].images.items()}, candidate[EVIDENCE].values
        )
        for candidate in candidates
    }
    generations = range(1 + max(candidate["generation"] for candidate in candidates))
    best = [
        best_of([candidate for candidate in candidates if candidate["generation"] <= last], parents)
        for last in generations
    ]
    ever = {id(candidate) for some in best for candidate in some}
    for generation in generations:
        before = best[generation - 1] if generation else []
        for candidate in (candidate for candidate in candidates if candidate["generation"] == generation):
            seen = total
            if len(before) == parents:
                bar = shuffled[id(before[-1])]
                for count in rounds(early, total)[:-1]:
                    evidence = shuffled[id(candidate)].first(count)
                    if reach(evidence, bar, total, metric, params, early.confidence) < 0:
                        seen = count
                        kept &= id(candidate) not in ever
                        break
            passes += fixed + noises * seen
    return kept, passes / (len(candidates) * (fixed + noises * total))


def run(
    profile: Path, dataset: str, metric_name: str, orders: int, confidences: tuple[float, ...] = (0.9, 0.99, 0.999)
) -> dict[str, Any]:
    """How often the search, and so its best, is that of full scoring, and at what share of the cost.

    Args:
        profile: a folder whose supernet is trained.
        dataset: the supernet's.
        metric_name: what the search maximises.
        orders: random orders of the images.
        confidences: of the decisions.
    """
    params = load_params(profile)
    axes = {"dataset": dataset, "metric": metric_name, "seed": str(params.matrix.search.seed[0])}
    context = Context("search", axes, params, profile)
    metric, parents = params.metrics[metric_name], search_of(context).parents
    candidates = full_search(context, metric)
    rng = np.random.default_rng(0)
    images = len(next(iter(candidates[0][EVIDENCE].images.values()))[0])
    drawn = [rng.permutation(images) for _ in range(orders)]
    results = {}
    for confidence in confidences:
        early = EarlyParams(shares=(0.125, 0.25, 0.5), confidence=confidence)
        settings = (parents, metric, params.measures, early)
        outcomes = [replay(candidates, order, *settings) for order in tqdm(drawn, f"{confidence}", disable=None)]
        kept, shares = zip(*outcomes, strict=True)
        results[str(confidence)] = {
            "same_search": float(np.mean(kept)),
            "cost_share": {"min": min(shares), "median": float(np.median(shares)), "max": max(shares)},
        }
    return {
        "candidates": len(candidates),
        "parents": parents,
        "images": images,
        "recalibrate_images": params.measures.recalibrate_images,
        "metric": metric_name,
        "orders": orders,
        "confidence": results,
    }

"""The ``search`` stage: evolution over a trained supernet under one metric (Section 3.1 and 3.2; official search.py).

Random generators are seeded by (seed, generation), so a killed search goes on from its last generation and ends with
the same candidates; scoring an architecture depends on nothing but the architecture, so it does not matter in how many
processes it happens (``GENAS_WORKERS``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from models.cost import network_cost
from models.errors import GenasError
from models.genotype import Genotype, cross, mutate, random_genotype
from pipeline import measures, pictures
from pipeline.config import SearchParams
from pipeline.context import Context
from pipeline.probe import Probe
from pipeline.scratch import Scratch
from pipeline.search_data import load_search_data
from pipeline.supernet import load_supernets

Candidate = dict[str, Any]
"""``encoding``, ``generation``, ``score`` (None in quarantine), ``error``, and every term of the score."""

Score = Callable[[Genotype], Candidate]
IMAGENET_SHAPE = {"width": 48, "layers": 14}
"""The shape at which found cells are compared in parameters and multiply-adds (224 pixels, 1000 classes)."""


def make_scorer(context: Context) -> Score:
    """A function that scores one architecture by the row's metric; a failure becomes a candidate in quarantine."""
    data = load_search_data(context)
    initial, trained = load_supernets(context, data.num_classes)
    params = context.params.measures
    probe = Probe(trained, data, params, int(context.axes["seed"]), initial)
    terms = context.params.metrics[context.axes["metric"]]

    def score(genotype: Genotype) -> Candidate:
        try:
            values = measures.take(probe, genotype, terms)
            total = measures.combine(values, terms, params)
        except (RuntimeError, ArithmeticError, ValueError) as error:
            return {"score": None, "error": " ".join(f"{type(error).__name__}: {error}".split())}
        if not math.isfinite(total):
            return {**values, "score": None, "error": f"score is {total}"}
        return {**values, "score": total, "error": ""}

    return score


_scorer: Score | None = None


def _start_worker(context: Context) -> None:
    global _scorer
    torch.set_num_threads(1)
    _scorer = make_scorer(context)


def _score_in_worker(genotype: Genotype) -> Candidate:
    assert _scorer is not None
    return _scorer(genotype)


@contextmanager
def scoring(context: Context) -> Iterator[Callable[[Iterable[Genotype]], Iterable[Candidate]]]:
    """A ``map`` over architectures, in this process or in ``GENAS_WORKERS`` of them."""
    workers = int(os.environ.get("GENAS_WORKERS", "1"))
    if workers <= 1:
        score = make_scorer(context)
        yield lambda genotypes: map(score, genotypes)
        return
    silent = Context(context.stage, dict(context.axes), context.params, context.root)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker, initargs=(silent,)) as pool:
        yield lambda genotypes: pool.map(_score_in_worker, genotypes)


def propose(
    parents: list[Genotype], seen: set[Genotype], params: SearchParams, rng: np.random.Generator
) -> list[Genotype]:
    """The next population: mutated and crossed parents, filled up at random, never an architecture seen before.

    Args:
        parents: best first; empty in the first generation.
        seen: every architecture proposed so far.
        params: sizes and probabilities.
        rng: the generation's source of randomness.
    """
    population: list[Genotype] = []

    def add(make: Callable[[], Genotype], wanted: int, patience: int) -> None:
        for _ in range(patience):
            if len(population) >= wanted:
                return
            child = make()
            if child not in seen:
                seen.add(child)
                population.append(child)

    def pick() -> Genotype:
        return parents[int(rng.integers(len(parents)))]

    if parents:
        p = params.mutation_probability
        add(lambda: mutate(pick(), rng, p, params.mutate_cells), params.mutated, 20 * params.mutated)
        add(lambda: cross(pick(), pick(), rng), len(population) + params.crossed, 20 * params.crossed)
    add(lambda: random_genotype(rng), params.population, 1000 * params.population)
    return population


def best_of(candidates: list[Candidate], count: int) -> list[Candidate]:
    """The best scored candidates, best first; ties by encoding, quarantined ones never."""
    scored = [c for c in candidates if c["score"] is not None]
    return sorted(scored, key=lambda c: (-c["score"], c["encoding"]))[:count]


def summary(candidates: list[Candidate], generation: int) -> dict[str, float]:
    """A history row: best so far, and median and worst of this generation's scores."""
    scores = [c["score"] for c in candidates if c["generation"] == generation and c["score"] is not None]
    best = best_of(candidates, 1)
    return {
        "best": best[0]["score"] if best else math.nan,
        "median": float(np.median(scores)) if scores else math.nan,
        "worst": min(scores, default=math.nan),
    }


def evolve(context: Context, scratch: Scratch) -> tuple[list[Candidate], list[dict[str, float]]]:
    """All candidates in the order of their scoring, and the history by generation."""
    params, seed = context.params.search, int(context.axes["seed"])
    state = scratch.load("state.pt") or {"candidates": [], "history": []}
    candidates, history = state["candidates"], state["history"]
    seen = {Genotype.decode(c["encoding"]) for c in candidates}
    with (
        scoring(context) as score_all,
        tqdm(total=params.generations * params.population, initial=len(candidates), unit="cell", disable=None) as bar,
    ):
        for generation in range(len(history), params.generations):
            rng = np.random.default_rng([seed, 4, generation])
            parents = [Genotype.decode(c["encoding"]) for c in best_of(candidates, params.parents)]
            population = propose(parents, seen, params, rng)
            for genotype, scored in zip(population, score_all(population), strict=True):
                candidates.append({"encoding": list(genotype.encode()), "generation": generation, **scored})
                bar.update()
            values = summary(candidates, generation)
            history.append({"generation": generation, **values})
            context.log(generation, values)
            scratch.save("state.pt", {"candidates": candidates, "history": history})
    return candidates, history


def run(context: Context) -> dict[str, float]:
    """Search with one metric; leaves the winner, every candidate with every term, the history and pictures.

    Raises:
        GenasError: every candidate ended in quarantine.
    """
    supernet = context.output_of("supernet", f"{context.axes['dataset']}-{context.axes['seed']}")
    metric = context.axes["metric"]
    settings = {
        "search": context.params.search,
        "measures": context.params.measures,
        "metric": context.params.metrics[metric],
        "supernet": context.params.supernet,
    }
    scratch = Scratch(context, settings, [supernet / "initial.safetensors", supernet / "trained.safetensors"])
    candidates, history = evolve(context, scratch)
    if not best_of(candidates, 1):
        raise GenasError(
            f"search {context.row}: no candidate could be scored, the first failed with {candidates[0]['error']}"
        )
    winner = best_of(candidates, 1)[0]
    genotype = Genotype.decode(winner["encoding"]).require_two_inputs()
    terms = {k: v for k, v in winner.items() if isinstance(v, float)}
    genotype.save(context.out / "genotype.json", metric=metric, **terms)
    table = pd.DataFrame(candidates)
    table["encoding"] = [" ".join(map(str, code)) for code in table["encoding"]]
    table.to_parquet(context.out / "candidates.parquet", index=False)
    frame = pd.DataFrame(history)
    frame.to_csv(context.out / "history.csv", index=False)
    pictures.draw_genotype(genotype, context.out / "cell.png", context.row)
    pictures.draw_search(frame, context.out / "search.png", context.row)
    scratch.close()
    cost = network_cost(genotype, 224, **IMAGENET_SHAPE)
    quarantined = sum(c["score"] is None for c in candidates)
    return {
        **terms,
        "params": cost.params,
        "macs": cost.macs,
        "candidates": len(candidates),
        "quarantined": quarantined,
    }

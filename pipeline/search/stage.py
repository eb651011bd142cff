"""The ``search`` stage: evolution over a trained supernet under one metric (Section 3.1 and 3.2; official search.py).

Random generators are seeded by (seed, generation), so a killed search goes on from its last generation and ends with
the same candidates, however many processes score them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm import tqdm

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype, spelled
from genas.pipeline.config import SearchParams
from genas.pipeline.context import Context
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.scoring.early import Evidence
from genas.pipeline.scoring.measuring import EVIDENCE, scoring, with_scorer
from genas.pipeline.search.candidates import Candidate, leave_winner, write_candidates
from genas.pipeline.search.evolution import best_of, budget, flatness_share, propose, rate, summary
from genas.pipeline.supernet.weights import weights_of


def search_of(context: Context) -> SearchParams:
    """How the row's data set is searched with, under its metric."""
    return budget(context.params.search[context.axes["dataset"]], context.params.metrics[context.axes["metric"]])


def evolve(context: Context, scratch: Scratch) -> tuple[list[Candidate], list[dict[str, float]]]:
    """All candidates in the order of their scoring, and the history by generation."""
    params, seed = search_of(context), context.seed()
    metric = context.params.metrics[context.axes["metric"]]
    state = scratch.load("state.pt") or {"candidates": [], "history": [], "evidence": {}}
    candidates, history = state["candidates"], state["history"]
    evidence_of = {name: Evidence.from_tensors(*parts) for name, parts in state["evidence"].items()}
    seen = {Genotype.decode(c["encoding"]) for c in candidates}
    with (
        scoring(context, tuple(metric.terms), metric) as score_all,
        tqdm(total=params.generations * params.population, initial=len(candidates), unit="cell", disable=None) as bar,
    ):
        for generation in range(len(history), params.generations):
            rng = np.random.default_rng([seed, 4, generation])
            best = best_of(candidates, params.parents)
            elders = best if metric.strategy == "evolution" else []
            population = propose([Genotype.decode(c["encoding"]) for c in elders], seen, params, rng)
            to_reach = evidence_of.get(spelled(best[-1]["encoding"])) if len(best) == params.parents else None
            for genotype, values in zip(population, score_all(population, to_reach), strict=True):
                candidate = {"encoding": list(genotype.encode()), "generation": generation, **values}
                if EVIDENCE in candidate:
                    evidence_of[spelled(candidate["encoding"])] = candidate.pop(EVIDENCE)
                candidates.append(candidate)
                bar.update()
            rate(candidates, metric, context.params.measures)
            row = summary(candidates, generation)
            history.append({"generation": generation, **row})
            context.log(generation, row)
            parents = {spelled(parent["encoding"]) for parent in best_of(candidates, params.parents)}
            # No other candidate can be a parent again.
            evidence_of = {name: evidence for name, evidence in evidence_of.items() if name in parents}
            parts = {name: evidence.as_tensors() for name, evidence in evidence_of.items()}
            scratch.save("state.pt", {"candidates": candidates, "history": history, "evidence": parts})
    return candidates, history


def run(context: Context) -> dict[str, float]:
    """Search with one metric; leaves the winner, every candidate with every term, and the history.

    Raises:
        GenasError: every candidate ended in quarantine, the limits leave too few architectures, or early decisions are
            asked for a metric that has no score of one candidate alone.
    """
    context = with_scorer(context)
    name, early = context.axes["metric"], search_of(context).early
    metric = context.params.metrics[name]
    if early and metric.combine != "sum":
        raise GenasError(f"search.early: metric {name} adds ranks, which change with every candidate; set it to null")
    scratch = Scratch(context, weights_of(context, "supernet"))
    candidates, history = evolve(context, scratch)
    if not best_of(candidates, 1):
        raise GenasError(
            f"search {context.row}: no candidate could be scored, the first failed with {candidates[0]['error']}"
        )
    metrics = leave_winner(context, best_of(candidates, 1)[0], metric=name)
    if metric.combine == "sum":
        metrics["flatness_share"] = flatness_share(candidates, metric, context.params.measures)
    write_candidates(context.out / "candidates.parquet", candidates)
    pd.DataFrame(history).to_csv(context.out / "history.csv", index=False)
    scratch.close()
    counts = {"candidates": len(candidates), "quarantined": sum(bool(c["error"]) for c in candidates)}
    if early:
        counts["dropped"] = sum(bool(c.get("dropped")) for c in candidates)
    return {**metrics, **counts}

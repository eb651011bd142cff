"""Scoring on several processes against one (``genas bench workers``)."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import torch

from genas.benchmarks import workload
from genas.benchmarks.score import our_side
from genas.benchmarks.sides import Side, spread
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.machine.memory import keep_memory
from genas.pipeline.machine.workers import Workers


@cache
def _side(images: int, recalibrate: int) -> Side:
    keep_memory()
    torch.set_num_threads(1)
    return our_side(images, recalibrate)


def score(work: tuple[Genotype, int, int]) -> float:
    """Flatness of an architecture over so many images, after recalibration on so many."""
    genotype, images, recalibrate = work
    return float(_side(images, recalibrate)(genotype))


def run(quick: bool = False, workers: int = 2) -> dict[str, Any]:
    """How many times as fast ``workers`` processes score the same architectures as one does, over several rounds."""
    images, recalibrate, count, rounds = (128, 224, 12, 4) if quick else (512, 896, 12, 5)
    work = [(genotype, images, recalibrate) for genotype in workload.architectures(count)]
    warm = [(work[0][0], images, recalibrate)] * 2 * workers
    times: dict[int, list[float]] = {1: [], workers: []}
    with Workers(1, str) as one, Workers(workers, str) as several:
        sides = {1: one, workers: several}
        for pool in sides.values():
            list(pool.map(score, warm))
        results = {}
        for _ in range(rounds):
            for number, pool in sides.items():
                started = time.perf_counter()
                results[number] = list(pool.map(score, work))
                times[number].append(time.perf_counter() - started)
    return {
        "ratio": spread(alone / together for alone, together in zip(times[1], times[workers], strict=True)),
        "seconds": {"one": spread(times[1]), "several": spread(times[workers])},
        "workers": workers,
        "candidates": count,
        "identical": results[1] == results[workers],
    }

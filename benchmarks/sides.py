"""Two ways of doing the same work, timed side by side in one run, each in a process of its own.

The sides take turns on every piece of work, so that whatever else the machine does falls on both; what is reported is
the ratio of the times of one piece of work, over all pieces.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from genas.pipeline.machine.memory import keep_memory

Side = Callable[[Any], Any]
"""Does one piece of work and returns what came out."""


class Timed(NamedTuple):
    """What a piece of work gave, and how long it took in seconds."""

    result: Any
    seconds: float


_side: list[Side] = []


def _make(make: Callable[[], Side], keep: bool) -> None:
    if keep:
        keep_memory()
    torch.set_num_threads(1)
    _side.append(make())


def _do(work: Any) -> Timed:
    started = time.perf_counter()
    result = _side[0](work)
    return Timed(result, time.perf_counter() - started)


def take_turns(makers: Sequence[Callable[[], Side]], works: Iterable[Any], title: str) -> list[list[Timed]]:
    """Do every piece of work on every side, one after the other.

    Args:
        makers: make a side, in its own process, with one thread. The first is the reference, which leaves memory to
            the C library as it finds it; the others keep it as the stages do.
        works: what is sent to the sides; the first piece is done twice, and its first time does not count.
        title: of the progress bar.

    Returns:
        A list for each side.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    works = list(works)
    with ExitStack() as stack:
        pools = [
            stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), initializer=_make, initargs=(make, place > 0))
            )
            for place, make in enumerate(makers)
        ]
        for pool in pools:
            pool.submit(_do, works[0]).result()
        times: list[list[Timed]] = [[] for _ in pools]
        for work in tqdm(works, title, disable=None):
            for side, pool in zip(times, pools, strict=True):
                side.append(pool.submit(_do, work).result())
    return times


def spread(values: Iterable[float]) -> dict[str, float]:
    """Minimum, median and maximum."""
    values = list(values)
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def compare(reference: Sequence[Timed], ours: Sequence[Timed]) -> dict[str, Any]:
    """Times of both sides in seconds and the ratio of one to the other, piece by piece."""
    ratios = [theirs.seconds / own.seconds for theirs, own in zip(reference, ours, strict=True)]
    return {
        "ratio": spread(ratios),
        "seconds": {
            "reference": spread(run.seconds for run in reference),
            "ours": spread(run.seconds for run in ours),
        },
        "pieces": len(ratios),
    }

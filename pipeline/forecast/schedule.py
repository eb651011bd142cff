"""When rows run on several machines: a simulation of what the flows do (Graham's list scheduling, 1969)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from genas.pipeline.stages import Key


class Schedule(NamedTuple):
    """Seconds until the last row has ended, and the chain of rows that takes longest however many machines there
    are, first row first, with its seconds."""

    seconds: float
    path: tuple[Key, ...]
    longest: float


def schedule(seconds: Mapping[Key, float], inputs: Mapping[Key, Iterable[Key]], machines: int) -> Schedule:
    """A machine that is free takes the first row, in the given order, of which all inputs are there.

    Args:
        seconds: of each row, in the order of the chain.
        inputs: the rows that each reads; those without seconds are there already.
        machines: how many rows run at once.
    """
    needs = {key: {need for need in inputs[key] if need in seconds} for key in seconds}
    waiting, running, clock = list(seconds), list[tuple[float, int]](), 0.0
    order, ended = {key: number for number, key in enumerate(seconds)}, set[Key]()
    names = list(seconds)
    while waiting or running:
        ready = [key for key in waiting if needs[key] <= ended][: machines - len(running)]
        for key in ready:
            waiting.remove(key)
            heappush(running, (clock + seconds[key], order[key]))
        assert running, "the graph has no cycle"
        clock, number = heappop(running)
        ended.add(names[number])
    until: dict[Key, tuple[float, tuple[Key, ...]]] = {}
    for key in seconds:
        before = max((until[need] for need in needs[key]), default=(0.0, ()))
        until[key] = (before[0] + seconds[key], (*before[1], key))
    longest, path = max(until.values(), default=(0.0, ()))
    return Schedule(clock, path, longest)

"""Who is looked at next in an evolution (Section 3.2; official search.py), whatever the search space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from genas.pipeline.config import EvolutionParams

A = TypeVar("A")
PATIENCE = 100
"""Proposals tried for each one that is wanted."""


class Moves(NamedTuple, Generic[A]):
    """How new architectures of a space are made: drawn, out of one parent, out of two; and which of them are allowed.

    All three ``draw``, ``mutate`` and ``cross`` take the source of randomness last.
    """

    draw: Callable[[np.random.Generator], A]
    mutate: Callable[[A, np.random.Generator], A]
    cross: Callable[[A, A, np.random.Generator], A]
    allowed: Callable[[A], bool]


def propose(
    parents: Sequence[A], seen: set[A], sizes: EvolutionParams, moves: Moves[A], rng: np.random.Generator
) -> list[A]:
    """The next population: mutated and crossed parents, filled up at random, never an architecture seen before. It is
    smaller than it should be where hardly any is left.

    Args:
        parents: best first; empty in the first generation and in random search.
        seen: every architecture proposed so far; grows by those returned.
        sizes: of the population, and how many are mutated and crossed.
        moves: how architectures are made.
        rng: the generation's source of randomness.
    """
    population: list[A] = []

    def add(make: Callable[[], A], wanted: int) -> None:
        for _ in range(PATIENCE * max(0, wanted - len(population))):
            if len(population) >= wanted:
                return
            child = make()
            if child not in seen and moves.allowed(child):
                seen.add(child)
                population.append(child)

    def pick() -> A:
        return parents[int(rng.integers(len(parents)))]

    if parents:
        add(lambda: moves.mutate(pick(), rng), sizes.mutated)
        add(lambda: moves.cross(pick(), pick(), rng), len(population) + sizes.crossed)
    add(lambda: moves.draw(rng), sizes.population)
    return population

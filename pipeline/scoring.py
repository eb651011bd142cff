"""Measuring many architectures: a ``map`` over one process, several, or somebody's cluster.

What an architecture scores depends on the architecture alone, so it does not matter where or in which order that
happens. ``GENAS_WORKERS`` is a number of processes; ``GENAS_EXECUTOR=module:function`` names a function that returns a
``concurrent.futures`` executor, such as Dask's ``Client(...).get_executor()``, or anything else with its ``map``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pkgutil import resolve_name
from typing import Any, Protocol

import torch

from models.errors import GenasError
from models.genotype import Genotype
from pipeline import measures
from pipeline.context import Context
from pipeline.fast_probe import make_probe
from pipeline.memory import keep_memory
from pipeline.search_data import load_search_data
from pipeline.supernet import TRAINED, load_supernets, weights_folder

Values = dict[str, Any]
"""What was measured of an architecture; ``score``, None until a metric rates it; ``error``, empty if all went well."""

Score = Callable[[Genotype], Values]
ScoreAll = Callable[[Iterable[Genotype]], Iterable[Values]]


class Executor(Protocol):
    """Whatever maps a function over its arguments, elsewhere and in their order."""

    def map(self, fn: Score, genotypes: Iterable[Genotype], /) -> Iterable[Values]: ...


def make_scorer(context: Context, names: Sequence[str]) -> Score:
    """A function that takes the named measures of one architecture of the row's supernet.

    An architecture that fails, or for which a measure is not finite, comes back with an ``error`` that says so.
    """
    data = load_search_data(context)
    initial, trained = load_supernets(context, data.num_classes)
    probe = make_probe(trained, data, context.params.measures, int(context.axes["seed"]), initial)

    def score(genotype: Genotype) -> Values:
        try:
            values = measures.take(probe, genotype, names)
        except (RuntimeError, ArithmeticError, ValueError) as error:
            return {"score": None, "error": " ".join(f"{type(error).__name__}: {error}".split())}
        wrong = [f"{name} is {values[name]}" for name in names if not math.isfinite(values[name])]
        return {**values, "score": None, "error": ", ".join(wrong)}

    return score


_made: dict[str, Score] = {}
"""The scorer that this process has made, so that supernets are loaded once."""
_turn = threading.Lock()
"""Threads of one process share the scorer, and a measure moves its weights: they take turns."""


def score_elsewhere(context: Context, names: Sequence[str], genotype: Genotype) -> Values:
    """What :func:`make_scorer`'s function returns, in a process that another one sends architectures to."""
    trained = weights_folder(context) / TRAINED
    key = repr((trained, trained.stat().st_mtime_ns, context.row, names, context.params.model_dump_json()))
    with _turn:
        if key not in _made:
            torch.set_num_threads(1)
            keep_memory()
            _made.clear()
            _made[key] = make_scorer(context, names)
        return _made[key](genotype)


def named_executor(name: str) -> Executor:
    """What the function ``module:function`` returns.

    Raises:
        GenasError: no such module or function, or what it returns has no ``map``.
    """
    try:
        function = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise GenasError(f"GENAS_EXECUTOR={name}: expected module:function ({error})") from None
    if not callable(function):
        raise GenasError(f"GENAS_EXECUTOR={name}: expected module:function, got a {type(function).__name__}")
    executor: Executor = function()
    if not hasattr(executor, "map"):
        raise GenasError(f"GENAS_EXECUTOR={name}: {type(executor).__name__} has no map")
    return executor


@contextmanager
def scoring(context: Context, names: Sequence[str]) -> Iterator[ScoreAll]:
    """A ``map`` that takes the named measures of architectures, in their order.

    Raises:
        GenasError: an output of the supernet is missing or of another shape; ``GENAS_EXECUTOR`` names nothing.
    """
    workers, name = int(os.environ.get("GENAS_WORKERS", "1")), os.environ.get("GENAS_EXECUTOR", "")
    silent = Context(context.stage, dict(context.axes), context.params, context.root)
    there = partial(score_elsewhere, silent, tuple(names))
    if name:
        executor = named_executor(name)
        yield lambda genotypes: executor.map(there, genotypes)
    elif workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            yield lambda genotypes: pool.map(there, genotypes)
    else:
        score = make_scorer(context, names)
        yield lambda genotypes: map(score, genotypes)

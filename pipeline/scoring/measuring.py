"""Measuring many architectures: a ``map`` over one process, several, or somebody's cluster.

What an architecture scores depends on the architecture alone, so it does not matter where or in which order that
happens. ``GENAS_WORKERS`` is a number of processes (:mod:`genas.pipeline.machine.workers`);
``GENAS_EXECUTOR=module:function`` names a function that returns a ``concurrent.futures`` executor, such as those of
:mod:`genas.pipeline.machine.clusters`, or anything else with its ``map``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple, Protocol

import torch

from genas.models.errors import GenasError
from genas.models.spaces.base.oneshot import Architecture
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline import measures
from genas.pipeline.config import MetricParams
from genas.pipeline.context import Context
from genas.pipeline.machine.memory import keep_memory
from genas.pipeline.machine.workers import Workers, asked
from genas.pipeline.probe.fast import make_probe, settled
from genas.pipeline.probe.images import load_probe_data
from genas.pipeline.scoring.early import Evidence, take_early
from genas.pipeline.supernet.network import load_supernets, training_of
from genas.pipeline.supernet.weights import Weights, weights_of

Values = dict[str, Any]
"""What was measured of an architecture; ``score``, None until a metric rates it; ``error``, empty if all went well."""

EVIDENCE = "evidence"
"""The key under which early decisions hand on what was seen of a candidate that was scored to the end."""


class Score(Protocol):
    """Measures one architecture."""

    def __call__(self, architecture: Architecture, bar: Evidence | None = None) -> Values: ...


class ScoreAll(Protocol):
    """Measures architectures, in their order; with early decisions against ``bar``."""

    def __call__(self, architectures: Iterable[Architecture], bar: Evidence | None = None) -> Iterable[Values]: ...


class Executor(Protocol):
    """Whatever maps a function over its arguments, elsewhere and in their order."""

    def map(
        self, fn: Callable[[Architecture], Values], architectures: Iterable[Architecture], /
    ) -> Iterable[Values]: ...


class Request(NamedTuple):
    """What is to be measured: measures by name, or what a metric needs with early decisions."""

    names: tuple[str, ...]
    metric: MetricParams | None = None


Make = Callable[[Context, Request], Score]


def with_scorer(context: Context) -> Context:
    """The row of a DARTS supernet with the scorer that ``auto`` stands for here: one for all processes of the row,
    which ``timing.json`` then names.

    Raises:
        GenasError: ``params.yaml`` names ``native``, which does not run here.
    """
    found = settled(context.params.measures, Supernet.space, context.device, training_of(context).stem)
    context.notes["scorer"] = found.scorer
    return replace(context, params=context.params.model_copy(update={"measures": found}))


def make_scorer(context: Context, request: Request) -> Score:
    """A function that takes the measures of one architecture of the row's supernet.

    An architecture that fails, or for which a measure is not finite, comes back with an ``error`` that says so.
    """
    params, names, metric = context.params, *request
    data = load_probe_data(context, training_of(context), params.measures)
    initial, trained = load_supernets(context, data.num_classes)
    probe = make_probe(trained, data, params.measures, context.seed("noise"), initial)
    early = None if metric is None else params.search[context.axes["dataset"]].early

    def taken(architecture: Architecture, bar: Evidence | None) -> Values:
        if metric is None or early is None:
            return measures.take(probe, architecture, names)
        values, evidence = take_early(probe, architecture, metric, early, bar)
        return values if values["dropped"] else {**values, EVIDENCE: evidence}

    return lambda architecture, bar=None: attempt(lambda: taken(architecture, bar), names)


def attempt(take: Callable[[], Values], names: Iterable[str]) -> Values:
    """What ``take`` returns; where it fails, or one of ``names`` is not finite, with an ``error`` that says so."""
    try:
        values = take()
    except (RuntimeError, ArithmeticError, ValueError) as error:
        return quarantined(" ".join(f"{type(error).__name__}: {error}".split()))
    wrong = [f"{name} is {values[name]}" for name in names if not math.isfinite(values[name])]
    return {**values, "score": None, "error": ", ".join(wrong)}


def quarantined(error: str) -> Values:
    """What stands for an architecture that could not be measured."""
    return {"score": None, "error": error}


_made: dict[str, Score] = {}
"""The scorer that this process has made, so that supernets are loaded once."""
_turn = threading.Lock()
"""Threads of one process share the scorer, and a measure moves its weights: they take turns."""


def score_elsewhere(
    make: Make, trained: Path, context: Context, request: Request, bar: Evidence | None, architecture: Architecture
) -> Values:
    """What the function that ``make`` makes returns, in a process that another one sends architectures to."""
    key = repr((trained, trained.stat().st_mtime_ns, context.row, request, context.params.model_dump_json()))
    with _turn:
        if key not in _made:
            keep_memory()
            torch.set_num_threads(1)
            _made.clear()
            _made[key] = make(context, request)
        return _made[key](architecture, bar)


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
def scoring(
    context: Context,
    names: Sequence[str],
    metric: MetricParams | None = None,
    make: Make = make_scorer,
    weights: Weights | None = None,
) -> Iterator[ScoreAll]:
    """A ``map`` that takes the measures of architectures, in their order.

    Args:
        context: whose supernet they are measured in.
        names: of the measures.
        metric: what rates them, where ``search.early`` may drop some.
        make: a module's function that makes the function that scores, wherever that happens.
        weights: of the supernet; by default that of the DARTS space.

    Raises:
        GenasError: an output of the supernet is missing or of another shape; ``GENAS_EXECUTOR`` names nothing;
            ``GENAS_WORKERS`` is no number.
    """
    workers, name = asked(), os.environ.get("GENAS_EXECUTOR", "")
    silent = Context(context.stage, dict(context.axes), context.params, context.root)
    request = Request(tuple(names), metric)
    trained = (weights or weights_of(context, "supernet")).trained

    def through(executor: Executor) -> ScoreAll:
        def score_all(architectures: Iterable[Architecture], bar: Evidence | None = None) -> Iterable[Values]:
            return executor.map(partial(score_elsewhere, make, trained, silent, request, bar), architectures)

        return score_all

    if name:
        yield through(named_executor(name))
    elif workers > 1:
        with Workers(workers, quarantined) as pool:
            yield through(pool)
    else:
        score = make(context, request)
        yield lambda architectures, bar=None: (score(architecture, bar) for architecture in architectures)

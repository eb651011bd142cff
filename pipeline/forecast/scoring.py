"""The work of measuring architectures in a supernet: searches, the agreement of the measures, NAS-Bench-201.

An architecture costs (recalibration images + the passes of its measures) x the time of an image, where flatness passes
sigmas x draws x images, accuracy and loss the images once, and together once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from genas.pipeline import measures
from genas.pipeline.config import MEASURES, FlatnessParams, MeasureParams
from genas.pipeline.forecast import stopwatch, supernets
from genas.pipeline.forecast.light import DISTINCT201, SIZE301
from genas.pipeline.forecast.stopwatch import now
from genas.pipeline.forecast.supernets import Space, build, decoding, halves_of, paths, space_of, synthetic
from genas.pipeline.forecast.work import BACKWARD, BASE, Forecast, Kinds, Load, Profile, Rate, Work, load
from genas.pipeline.measures.flatness import draw_losses
from genas.pipeline.measures.swap import IMAGES
from genas.pipeline.nasbench201.measuring import settings_of
from genas.pipeline.probe.fast import CPU_CHUNK, make_probe
from genas.pipeline.scoring.readings import HESSIAN
from genas.pipeline.search.evolution import budget
from genas.pipeline.stages import STAGES, Key

CAP = 256
"""Images of a trial, at most."""
TRIED = 12
"""Architectures of a trial, at most."""
NUMBERS = ("steps", "images", "flops", "traffic", "calls")
PRODUCTS = 40
"""Products with the Hessian that its top eigenvector takes, each two passes forward and backward: what ARPACK needs
for one pair of a vector of some thousand numbers, about two restarts of 20."""

PASSES = {"naswot": 1, "swap": 1, "expressivity": 1, "progressivity": 1, "jacov": 2, "trainability": 2}
"""Of the images of measures that ask for no gradient by the weights; vkdnw goes back once for each class."""
KEPT = {"loss": "accuracy", "progressivity": "expressivity", "expressivity": "progressivity"}
"""Measures that are not taken behind another one, which has them beside its own."""


def flatness_passes(params: FlatnessParams) -> int:
    """Passes over the images: one for each sigma of each draw."""
    return len(params.sigma) * params.draws


def passes(names: Iterable[str], params: MeasureParams) -> dict[str, int]:
    """How often each measure passes the held-out images through a path; those that another one keeps beside itself are
    left out."""
    times = {"flatness": flatness_passes(params.flatness), "accuracy": 1, "loss": 1}
    wanted: dict[str, int] = {}
    for name in names:
        if KEPT.get(name) not in wanted:
            wanted[name] = times.get(name, 0)
    return wanted


def _kind(name: str, space: Space) -> str:
    return f"{name} ({space.measures.scorer}), {space.label}"


def _apart(name: str, count: float, space: Space) -> Load:
    """A measure that passes no held-out images, of ``count`` architectures; what it does to the weights of a path is
    some ten kernels a layer."""
    cost, kind, batch = space.cost, _kind(name, space), space.measures.zero_cost_images
    if name == "angle":
        return Load(kind, count, count, 0, count * 3 * 4 * cost.weights / 7, count * 2 * cost.calls)
    if name in ("params", "macs"):
        return Load(kind, count, count)
    times = {**PASSES, "vkdnw": 1 + space.classes}.get(name, BACKWARD)
    images = {"synflow": 1, "trained_synflow": 1, "swap": min(IMAGES, batch)}.get(name, batch)
    seen = load(kind, cost, count * images, images, times)
    return Load(kind, count, count, seen.flops, seen.traffic, seen.calls)


def loads(names: Iterable[str], count: float, space: Space, train: int, held: int) -> tuple[Load, ...]:
    """Measures of ``count`` architectures, the recalibration first."""
    params, taken = space.measures, passes(names, space.measures)
    images = min(params.images, held)
    batch = min(CPU_CHUNK if params.scorer == "native" else params.batch_size, images)
    half = params.precision != "float32"
    parts = [
        load(_kind(name, space), space.cost, count * times * images, batch, half=half)
        if times
        else _apart(name, count, space)
        for name, times in taken.items()
    ]
    looks = sum(1 for times in taken.values() if times)
    recalibrations = (
        (looks if params.scorer == "plain" else min(looks, 1)) * count if params.recalibrate != "none" else 0
    )
    seen = recalibrations * min(params.recalibrate_images, train)
    return (
        (load(_kind("recalibration", space), space.cost, seen, params.recalibrate_batch_size), *parts)
        if seen
        else tuple(parts)
    )


def merged(parts: Iterable[Load]) -> tuple[Load, ...]:
    """Loads of one kind as one."""
    found: dict[str, Load] = {}
    for part in parts:
        old = found.get(part.kind)
        sums: dict[str, Any] = {name: getattr(old, name, 0) + getattr(part, name) for name in NUMBERS}
        found[part.kind] = replace(part, **sums)
    return tuple(found.values())


def _memory(space: Space, train: int, held: int) -> float:
    """Two supernets, the noise of every weight, the images, and the maps of one kernel after the other."""
    noises = 1 + flatness_passes(space.measures.flatness)
    maps = space.measures.batch_size * space.cost.maps / 10
    kept = space.resident(train, 2 * held, space.measures.images)
    return BASE + 4 * space.cost.weights * (2 + noises) + 4 * 3 * space.pixels**2 * kept + maps


def _read(space: Space, train: int, held: int, looked: int) -> tuple[Load, ...]:
    """What a probe looks at, ``looked`` held-out images, decoded."""
    return space.decoding(space.resident(train, held, looked))


def search(profile: Profile, key: Key) -> Work:
    """``generations`` x ``population`` architectures, each measured for the metric; early decisions only save."""
    params, space, halves = profile.params, space_of(profile, key), halves_of(profile, key)
    axes = STAGES[key[0]].rows(params)[key[1]]
    metric = params.metrics[axes["metric"]]
    spent = budget(params.search[axes["dataset"]], metric)
    count = spent.generations * spent.population
    parts = (*loads(metric.terms, count, space, *halves), *_read(space, *halves, space.measures.images))
    return Work(parts, _memory(space, *halves), 300 * count)


def agreement(profile: Profile, key: Key) -> Work:
    """``architectures`` measured by all measures; then, for each number of images and each replicate, flatness of the
    architectures of ``error`` with the most draws."""
    params, space, (train, held) = profile.params.agreement, space_of(profile, key), halves_of(profile, key)
    parts = list(loads(params.measures, params.architectures, space, train, held))
    for images in params.error.images:
        flat = space.measures.flatness.model_copy(update={"draws": max(params.error.draws)})
        own = space.measures.model_copy(update={"images": images, "flatness": flat})
        count = params.error.replicates * params.error.architectures
        parts += loads(["flatness"], count, space._replace(measures=own), train, held)
    parts += _read(space, train, held, held)
    return Work(merged(parts), _memory(space, train, held), 300 * params.architectures)


def replica(profile: Profile, key: Key) -> Work:
    """A supernet's training; then ``architectures`` measured for each draw of the noise and each part of the images."""
    settings, space, halves = profile.params.replica, space_of(profile, key), halves_of(profile, key)
    count = settings.architectures * settings.draws * settings.parts
    trained = supernets.work(profile, key)
    parts = (*trained.loads, *loads(settings.measures, count, space, *halves))
    return Work(merged(parts), max(trained.memory, _memory(space, *halves)), trained.disk + 100 * count)


def readings(profile: Profile, key: Key) -> Work:
    """Of every architecture the ``measured``, accuracy without recalibration, those without training once more of
    trained weights, and flatness under each of the ``noises``; of ``hessian`` of them flatness along it."""
    params, space, (train, held) = profile.params, space_of(profile, key), halves_of(profile, key)
    settings = params.nasbench301.required if key[0] == "nasbench301" else settings_of(params, key[0])
    count = settings.architectures or (SIZE301 if key[0] == "nasbench301" else DISTINCT201)
    images = min(space.measures.images, held)
    parts = list(loads(settings.measured, count, space, train, held))
    parts += [_apart(name, count, space) for name in measures.ZERO_COST if name in settings.measured]
    noises = sum(flatness_passes(noise) for noise in settings.noises.values()) * count
    curved = min(settings.hessian, count)
    noises += curved * len(space.measures.flatness.sigma)
    batch = min(space.measures.batch_size, images)
    parts.append(load(_kind("accuracy", space), space.cost, count * images, batch))
    parts.append(load(_kind("flatness", space), space.cost, noises * images, batch))
    if curved:
        looked = space.measures.flatness.hessian_images
        product = load("", space.cost, curved * looked, looked, PRODUCTS * 2 * BACKWARD)
        parts.append(Load(_kind(HESSIAN, space), curved, curved, product.flops, product.traffic, product.calls))
    parts += _read(space, train, held, images)
    return Work(merged(parts), _memory(space, train, held), disk=500 * count)


def trial(profile: Profile, key: Key, kinds: Kinds) -> Mapping[str, Rate]:
    """Measures of random architectures of an untrained supernet, as its scorer takes them, at most :data:`CAP` images
    at a time."""
    space, started = space_of(profile, key), now()
    held, train = min(space.measures.images, CAP), min(space.measures.recalibrate_images, CAP)
    data = synthetic(train, held, space)
    params = space.measures.model_copy(update={"flatness": space.measures.flatness.model_copy(update={"draws": 1})})
    probe = make_probe(build(profile, key), data, params, 0, build(profile, key))
    setup = now() - started
    terms = (name for metric in profile.params.metrics.values() for name in metric.terms)
    names = dict.fromkeys((*MEASURES, *terms, HESSIAN))
    wanted = {name: _kind(name, space) for name in names if _kind(name, space) in kinds}
    seconds: Counter[str] = Counter()
    tried = 0
    for number, path in enumerate(islice(paths(space), TRIED + 1)):
        begun = now()
        probe.recalibrate(path)
        took = {"recalibration": now() - begun}
        for name in wanted:
            begun = now()
            if name == HESSIAN:
                along = params.flatness.model_copy(update={"direction": HESSIAN})
                draw_losses(probe, path, params.model_copy(update={"flatness": along}))
            else:
                module = measures.get(name)
                if isinstance(module, measures.ImageMeasure):
                    module.observe(probe, path, slice(None), params)
                else:
                    module.measure(probe, path)
            took[name] = now() - begun
        if number:  # the first one allocates and fills caches
            seconds.update(took)
            tried += 1
        if tried >= 4 and now() - started > stopwatch.SECONDS * len(took):
            break
    seen = {name: passes([name], params)[name] * held for name in wanted} | {"recalibration": train}
    rates = {
        _kind(name, space): Rate(total / tried / (seen[name] or 1), space.cost.flops if seen[name] else 0)
        for name, total in seconds.items()
    }
    first = next(iter(rates))
    return {**rates, first: rates[first]._replace(setup=setup), **decoding(space)}


def replica_trial(profile: Profile, key: Key, kinds: Kinds) -> Mapping[str, Rate]:
    """That of a supernet's training, and that of measures."""
    return {**supernets.trial(profile, key, kinds), **trial(profile, key, kinds)}


SEARCH, AGREEMENT, READINGS = (Forecast(work, trial) for work in (search, agreement, readings))
REPLICA = Forecast(replica, replica_trial)

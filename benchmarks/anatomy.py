"""Of what the variance of a score consists (``genas bench anatomy``): the architecture, or chance.

The same random architectures are scored in several supernets, which differ by their seed alone, under several draws of
the noise and on several parts of the held-out images, every combination once. What a search sees of chance is only what
acts on some architectures otherwise than on others.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genas.benchmarks.sensitivity import another_supernet, trained_row
from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.analysis.agreement import sample
from genas.pipeline.context import Context
from genas.pipeline.measures import take
from genas.pipeline.probe.fast import make_probe, settled
from genas.pipeline.probe.images import load_probe_data
from genas.pipeline.report.page import table
from genas.pipeline.supernet.network import load_supernets, training_of

FACTORS = ("architecture", "supernet", "noise", "images")
TERMS = ("flatness", "accuracy", "angle")
"""What a search maximises."""


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Of so many factors, all but the empty one, small ones first."""
    for size in range(1, count + 1):
        yield from combinations(range(count), size)


def mean_square(values: np.ndarray, effect: tuple[int, ...]) -> float:
    """The mean square of an effect, main or interaction: its sum of squares by its degrees of freedom.

    Args:
        values: one for each combination of the factors, which are its axes.
        effect: the axes.
    """
    others = tuple(axis for axis in range(values.ndim) if axis not in effect)
    left = values.mean(axis=others, keepdims=True)
    for axis in effect:
        left = left - left.mean(axis=axis, keepdims=True)
    repeats = np.prod([values.shape[axis] for axis in others])
    return float(repeats * (left**2).sum() / np.prod([values.shape[axis] - 1 for axis in effect]))


def components(values: np.ndarray) -> dict[tuple[int, ...], float]:
    """The variance that each factor and each interaction of factors brings: the analysis of variance of a crossed
    design with random effects (Searle, Casella and McCulloch, Variance Components, 1992, Section 4.3).

    The mean square of an effect is expected to be the sum, over all effects that hold its factors, of their variance
    times the observations that share it; solved for the variances, from the largest interaction down.

    Args:
        values: one for each combination of the factors, which are its axes; two of each at least.

    Returns:
        By axes, unbiased and so perhaps below zero. The interaction of all is what no factor explains.
    """
    found: dict[tuple[int, ...], float] = {}
    for effect in reversed([*subsets(values.ndim)]):
        above = sum(shared(values, other) * found[other] for other in found if set(effect) < set(other))
        found[effect] = (mean_square(values, effect) - above) / shared(values, effect)
    return dict(reversed(found.items()))


def shared(values: np.ndarray, effect: tuple[int, ...]) -> float:
    """How many observations have the same level of each of an effect's factors."""
    return float(np.prod([size for axis, size in enumerate(values.shape) if axis not in effect]))


def scores(context: Context, genotypes: list[Genotype], draws: int, parts: int) -> np.ndarray:
    """Of one supernet: every term (terms, architectures, draws, parts).

    Raises:
        GenasError: too few held-out images.
    """
    settings, training = context.params.measures, training_of(context)
    images = settings.images
    data = load_probe_data(context, training, settings.model_copy(update={"images": images * parts}))
    if len(data.held_labels) < images * parts:
        raise GenasError(f"--parts {parts} of {images} images each: there are {len(data.held_labels)} held-out images")
    initial, trained = load_supernets(context, data.num_classes)
    settings = settled(settings, trained.space, context.device, trained.stem_kind)
    result = np.empty((len(TERMS), len(genotypes), draws, parts))
    for draw, part in tqdm([*product(range(draws), range(parts))], f"supernet {context.axes['seed']}", disable=None):
        seen = slice(part * images, (part + 1) * images)
        own = data._replace(held_images=data.held_images[seen], held_labels=data.held_labels[seen])
        probe = make_probe(trained, own, settings, draw, initial)
        for place, genotype in enumerate(genotypes):
            found = take(probe, genotype, TERMS)
            result[:, place, draw, part] = [found[term] for term in TERMS]
    return result


def run(root: Path, dataset: str, architectures: int, supernets: int, draws: int, parts: int) -> dict[str, Any]:
    """Score random architectures of a profile in every combination.

    Args:
        root: the profile's folder, whose supernet ``<dataset>-0`` is trained; others are trained here, and go.
        dataset: the supernet's.
        architectures: how many.
        supernets, draws, parts: how many of each; each part has ``measures.images`` images of its own.

    Returns:
        ``{"architectures", "supernets", "draws", "parts", "rows": {term: {effect: share of the variance}}}``; effects
        are those that hold the architecture, whose shares sum to 1, those below zero taken as none.

    Raises:
        GenasError: the profile has no such supernet, or it is not trained.
    """
    context, genotypes = trained_row(root, dataset), sample(architectures, 0)
    found = [scores(context, genotypes, draws, parts)]
    for seed in range(1, supernets):
        with another_supernet(context, str(seed)) as row:
            found.append(scores(row, genotypes, draws, parts))
    values = np.stack(found, axis=2)  # terms, architectures, supernets, draws, parts
    rows = {term: shares(one) for term, one in zip(TERMS, values, strict=True)}
    return {"architectures": architectures, "supernets": supernets, "draws": draws, "parts": parts, "rows": rows}


def shares(values: np.ndarray) -> dict[str, float]:
    """Of the variance that orders architectures (the first axis), the share of each effect, by its factors' names."""
    ordering = {effect: max(one, 0.0) for effect, one in components(values).items() if 0 in effect}
    whole = sum(ordering.values())
    return {" x ".join(FACTORS[axis] for axis in effect): one / whole for effect, one in ordering.items()}


def markdown(result: dict[str, Any]) -> str:
    """The shares in percent as a table, an effect a row."""
    rows = result["rows"]
    shown = [(effect, *(f"{100 * rows[term][effect]:.1f} %" for term in TERMS)) for effect in rows[TERMS[0]]]
    return table(("of the variance between architectures", *TERMS), shown)

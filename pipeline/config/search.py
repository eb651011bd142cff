"""What is measured in supernets, and the search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from genas.pipeline.config.base import Count, Fraction, NotNegative, Positive, Section, Several
from genas.pipeline.config.installed import offered
from genas.pipeline.config.places import CODE

FIRST = ("flatness", "angle", "accuracy", "loss", "params", "macs")
"""Of the measures, those that lists of them begin with."""


def measures_in(folder: Path) -> tuple[str, ...]:
    """The measures of a folder, each a module: the paper's first, then the others by name."""
    found = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return (*(name for name in FIRST if name in found), *sorted(found - {*FIRST}))


MEASURES = measures_in(CODE / "pipeline" / "measures")
"""The measures that a metric can be made of, beside those that installed packages offer."""


def measure_module(name: str) -> str:
    """The module of a measure: the project's own, or what an installed package offers."""
    return f"genas.pipeline.measures.{name}" if name in MEASURES else offered("measures")[name]


def require_measures(names: Iterable[str]) -> None:
    """Refuse names that are no measures.

    Raises:
        ValueError: the first of them.
    """
    for name in names:
        if name not in MEASURES and name not in offered("measures"):
            expected = ", ".join((*MEASURES, *offered("measures")))
            raise ValueError(f"unknown measure {name!r}, expected one of {expected}")


def require_increasing(sigma: Sequence[float]) -> None:
    """Refuse sizes of perturbations that do not increase.

    Raises:
        ValueError: with all of them.
    """
    if any(b <= a for a, b in pairwise(sigma)):
        raise ValueError(f"sigma must increase, got {list(sigma)}")


class FlatnessParams(Section):
    """Eq. 4: perturbation sizes, the weight of the depth term, how noise is drawn, and where it acts (Table 7).

    ``positions``: ``all`` parameters of the path, or those of its ``cells`` alone. ``direction``: ``random`` noise, or
    the top Hessian eigenvector at the length that the noise would have. ``magnitude``: sigma itself (``absolute``, as
    in the paper), or ``relative`` to the root mean square of the tensor that is perturbed. ``common``: all candidates
    under the same noise; else each under its own, as one stream of random numbers gives it.
    """

    sigma: Annotated[Several[Positive], Field(min_length=2)]
    alpha: Annotated[float, Field(ge=0)]
    noise: Literal["independent", "cumulative"]
    draws: Count
    positions: Literal["all", "cells"]
    direction: Literal["random", "hessian"]
    magnitude: Literal["absolute", "relative"]
    common: bool
    hessian_iterations: Annotated[int, Field(ge=1, description="restarts of ARPACK's iteration, at most")]
    hessian_images: Count

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        require_increasing(self.sigma)
        return self


class AngleParams(Section):
    """``official`` puts a dilated convolution's BatchNorm weight in the place of its bias, ``fixed`` does not."""

    version: Literal["official", "fixed"]


class MeasureParams(Section):
    """What the measures need: images, BatchNorm recalibration, and each measure's own section.

    ``scorer``: ``plain`` evaluates the supernet as it is written, ``fast`` the same in less time and to float tolerance
    (:mod:`genas.models.fast.folded`), ``native`` in less still, on a CPU with a C compiler
    (:mod:`genas.models.fast.native`), ``auto`` is ``native`` where that runs, else ``fast``. Loss and accuracy are
    means over ``images``, or those of the means of ``batches`` of ``batch_size``. ``precision`` is what perturbed
    losses are computed in, in ``native`` the products alone; statistics are always float32. ``recalibrate_augmented``:
    whether the training images that recalibrate are cropped and flipped as in the supernet's training.
    """

    scorer: Literal["auto", "plain", "fast", "native"]
    precision: Literal["float32", "bfloat16"]
    images: Count
    batch_size: Count
    mean: Literal["images", "batches"]
    recalibrate_images: Count
    recalibrate_batch_size: Annotated[int, Field(ge=2)]
    recalibrate: Literal["exact", "official", "none"]
    recalibrate_augmented: bool
    zero_cost_images: Annotated[int, Field(ge=2, description="for the measures that need no training")]
    flatness: FlatnessParams
    angle: AngleParams

    @model_validator(mode="after")
    def _plain_is_float32(self) -> Self:
        if self.scorer == "plain" and self.precision != "float32":
            raise ValueError("scorer plain computes in float32, precision must say so")
        return self


class MetricParams(Section):
    """What a search maximises, and who proposes candidates.

    ``terms`` weighs measures: their weighted ``sum`` (Eq. 5), or that of their ``rank`` among all candidates so far or
    of its logarithm, ``log_rank``.
    ``evolution`` or, as a baseline under the same budget, ``random`` proposals; ``none`` takes the first architecture
    that is drawn, as a control.
    """

    terms: Annotated[dict[str, float], Field(min_length=1)]
    combine: Literal["sum", "rank", "log_rank"]
    strategy: Literal["evolution", "random", "none"]

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.terms)
        return self

    @property
    def gamma(self) -> float | None:
        """The weight of flatness in an evolution by angle and flatness (Eq. 5), 0 by the angle alone; else None."""
        others = {name: weight for name, weight in self.terms.items() if name != "flatness"}
        if self.combine != "sum" or self.strategy != "evolution" or others != {"angle": 1}:
            return None
        return self.terms.get("flatness", 0.0)


class EarlyParams(Section):
    """When a candidate is dropped (:mod:`genas.pipeline.scoring.early`): looked at after each of these ``shares`` of
    the images, if it stays below the last parent at this one-sided ``confidence``."""

    shares: Annotated[Several[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class EvolutionParams(Section):
    """The sizes of an evolution: of a generation, how many of it come from parents, and how likely an edge mutates."""

    population: Count
    generations: Count
    parents: Count
    mutated: NotNegative
    crossed: NotNegative
    mutation_probability: Fraction

    @model_validator(mode="after")
    def _children_fit(self) -> Self:
        if self.mutated + self.crossed > self.population:
            raise ValueError("mutated + crossed exceeds population")
        return self


class SearchParams(EvolutionParams):
    """Evolution (official search.py and config.py).

    ``max_params`` and ``max_macs`` limit what is proposed, by the cost of the network that Table 2 compares (14 cells,
    48 channels, 224 pixels). ``early`` drops candidates that cannot reach the parents; null scores all to the end.
    """

    mutate_cells: Literal["both", "normal"]
    max_params: Positive | None
    max_macs: Positive | None
    early: EarlyParams | None


class ErrorParams(Section):
    """How the standard error of flatness is found: each of ``replicates`` has images and noise of its own."""

    architectures: Count
    images: Annotated[Several[Count], Field(min_length=1)]
    draws: Annotated[Several[Count], Field(min_length=1)]
    replicates: Annotated[int, Field(ge=2)]


class ReplicaParams(Section):
    """What is scored in each replica of a supernet: ``measures`` of the same random ``architectures``, under ``draws``
    of the noise and on ``parts`` of the held-out images, each of ``measures.images``, every combination once."""

    architectures: Annotated[int, Field(ge=2)]
    measures: Annotated[Several[str], Field(min_length=1)]
    draws: Count
    parts: Count

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.measures)
        return self


class AgreementParams(Section):
    """How far measures agree: their values on the same random architectures, and the error of flatness."""

    architectures: Annotated[int, Field(ge=2)]
    measures: Annotated[Several[str], Field(min_length=2)]
    error: ErrorParams

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.measures)
        return self

"""The NAS-Bench-201 laboratory."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.base import Below, Count, NotNegative, Positive, Section, Seed, Several
from pipeline.config.search import FlatnessParams, MeasureParams, TrainingParams, require_measures


class Supernet201Params(TrainingParams):
    """The supernet of NAS-Bench-201: channels of the first stage and cells in each.

    ``sampling``: every path drawn ``uniform``, or in rounds of five in which each operation of each edge is trained
    once (``fair``; Chu et al., FairNAS, 2021, whose five gradients are summed to one step, here a step each).
    """

    channels: Count
    cells: Count
    sampling: Literal["uniform", "fair"]


class Run201(Section):
    """One supernet of the laboratory; its name is ``dataset-seed``."""

    dataset: str
    seed: Seed


class Truth201(Section):
    """What a data set's runs are judged by: columns of the benchmark, accuracies after 200 epochs."""

    truths: Annotated[Several[Literal["cifar10", "cifar100", "imagenet16_120"]], Field(min_length=1)]


class Settings201(Section):
    """The laboratory's settings.

    ``table`` is the benchmark below the data root: a parquet table, or the official folder of NATS-Bench.
    ``measured``: what is taken of each architecture beside its losses under the ``noises``, measures by name.
    ``architectures``: how many are scored, drawn evenly along the number of parameters; null for all 15,625.
    ``noises``: ways to perturb, by name; ``curve`` is that of Tables 5 and 6, ``cells`` that of Table 7.
    ``hessian``: of how many architectures the Hessian's eigenvectors are found. ``gamma``: weight of flatness in a sum
    (Eq. 5). ``top``: K of Figure 2 and of the precision. ``bootstrap``: resamples of an interval.
    """

    table: Below
    supernet: Supernet201Params
    measures: MeasureParams
    measured: Annotated[Several[str], Field(min_length=1)]
    noises: dict[str, FlatnessParams]
    architectures: Annotated[int, Field(ge=10)] | None
    hessian: NotNegative
    gamma: Positive
    top: Count
    bootstrap: Count

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.measured)
        return self


class NasBench201Params(Section):
    """The NAS-Bench-201 laboratory: its supernets, what they are judged by; ``settings`` is null where there are
    none."""

    runs: dict[str, Run201]
    laboratory: dict[str, Truth201]
    settings: Settings201 | None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, run in self.runs.items():
            if name != f"{run.dataset}-{run.seed}":
                raise ValueError(f"runs.{name} is named {run.dataset}-{run.seed}")
        for name in self.laboratory:
            if name not in {run.dataset for run in self.runs.values()}:
                raise ValueError(f"laboratory.{name}: no run has this data set")
        if self.runs and self.settings is None:
            raise ValueError("settings are needed for runs")
        return self

    @property
    def required(self) -> Settings201:
        """The settings, which a profile with runs has."""
        assert self.settings is not None, "params.yaml was validated"
        return self.settings

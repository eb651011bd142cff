"""The laboratories: where the truth about every architecture is known, or a model of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from genas.pipeline.config.base import Below, Count, Name, NotNegative, Positive, Section, Seed, Several
from genas.pipeline.config.search import EvolutionParams, FlatnessParams, MeasureParams, require_measures
from genas.pipeline.config.supernets import Supernet201Params


class Group201(Section):
    """Supernets of a data set and a recipe, which are judged together."""

    dataset: str
    recipe: Name

    @property
    def group(self) -> str:
        """``dataset-recipe``."""
        return f"{self.dataset}-{self.recipe}"


class Run201(Group201):
    """One supernet of the laboratory; its name is ``dataset-recipe-seed``."""

    seed: Seed


class Snapshot201(Run201):
    """A supernet of the laboratory after so many epochs; its name is ``dataset-recipe-seed-epoch``."""

    epoch: Count


class Truth201(Group201):
    """What a group is judged by, whose name it has. ``truths``: columns of the benchmark, accuracies after 200
    epochs."""

    truths: Annotated[Several[Literal["cifar10", "cifar100", "imagenet16_120"]], Field(min_length=1)]


class LaboratoryParams(Section):
    """What is measured of architectures, and how it is judged.

    ``table``: the benchmark below the data root. ``measured``: what is taken of each architecture beside its losses
    under the ``noises``, measures by name. ``architectures``: how many; null for all of the benchmark. ``noises``: ways
    to perturb, by name; ``curve`` is that of Tables 5 and 6, ``cells`` that of Table 7. ``hessian``: of how many
    architectures the Hessian's eigenvectors are found. ``gamma``: weight of flatness in a sum (Eq. 5). ``top``: K of
    Figure 2 and of the precision. ``bootstrap``: resamples of an interval. ``permutations``: of the truth, for what the
    best of many scores reaches by chance.
    """

    table: Below
    measures: MeasureParams
    measured: Annotated[Several[str], Field(min_length=1)]
    noises: dict[str, FlatnessParams]
    architectures: Annotated[int, Field(ge=10)] | None
    hessian: NotNegative
    gamma: Positive
    top: Count
    bootstrap: Count
    permutations: Count

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.measured)
        return self


class WalkParams(EvolutionParams):
    """Searches on tabulated scores: ``walks`` of each kind. Evolution has the sizes of ``search``; the regularised one
    (Real et al., 2019) as many evaluations, and a ``tournament`` of so many among the ``population`` youngest."""

    walks: Count
    tournament: Count

    @model_validator(mode="after")
    def _tournament_fits(self) -> Self:
        if self.tournament > self.population:
            raise ValueError("tournament exceeds population")
        return self


class Settings201(LaboratoryParams):
    """The laboratory of NAS-Bench-201, whose ``table`` is a parquet table or the official folder of NATS-Bench, and
    whose ``architectures`` are drawn evenly along the number of parameters.

    ``recipes``: ways to train a supernet, by name, of which each run names one. ``brief``: what is taken of
    architectures in snapshots and in the whole space, beside the losses under the noise of ``measures``. ``robustness``
    and ``zero_cost``: tables below the data root of accuracies under attack and of other people's zero-cost measures;
    null where there are none. ``stratified``: architectures of the set whose accuracies are spread evenly. ``labels``:
    trained networks that a random forest learns from, ``forests``: draws of them. ``search``: see :class:`WalkParams`.
    """

    robustness: Below | None
    zero_cost: Below | None
    recipes: dict[Name, Supernet201Params]
    brief: Annotated[Several[str], Field(min_length=1)]
    stratified: Count
    labels: Annotated[Several[Annotated[int, Field(ge=2, lt=15625)]], Field(min_length=1)]
    forests: Count
    search: WalkParams

    @model_validator(mode="after")
    def _known_briefly(self) -> Self:
        require_measures(self.brief)
        return self

    @property
    def in_brief(self) -> Settings201:
        """The settings by which snapshots and the whole space are measured and judged."""
        return self.model_copy(
            update={"measured": self.brief, "noises": {"curve": self.measures.flatness}, "hessian": 0}
        )


class NasBench201Params(Section):
    """The NAS-Bench-201 laboratory: its supernets, those of their snapshots in which architectures are measured too,
    those in which all 15,625 are, and what they are judged by; ``settings`` is null where there are none."""

    runs: dict[str, Run201]
    spaces: dict[str, Run201]
    snapshots: dict[str, Snapshot201]
    laboratory: dict[str, Truth201]
    settings: Settings201 | None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.runs and self.settings is None:
            raise ValueError("settings are needed for runs")
        for section, runs in (("runs", self.runs), ("spaces", self.spaces)):
            for name, run in runs.items():
                if name != f"{run.group}-{run.seed}":
                    raise ValueError(f"{section}.{name} is named {run.group}-{run.seed}")
        for name, run in self.runs.items():
            if run.recipe not in self.required.recipes:
                known = ", ".join(self.required.recipes)
                raise ValueError(f"runs.{name}: unknown recipe {run.recipe!r}, defined are {known}")
        for name in self.spaces:
            if name not in self.runs:
                raise ValueError(f"spaces.{name}: no run has this data set, recipe and seed")
        for name, kept in self.snapshots.items():
            run_of = f"{kept.group}-{kept.seed}"
            if name != f"{run_of}-{kept.epoch}":
                raise ValueError(f"snapshots.{name} is named {run_of}-{kept.epoch}")
            if run_of not in self.runs:
                raise ValueError(f"snapshots.{name}: no run has this data set, recipe and seed")
            if kept.epoch not in self.required.recipes[kept.recipe].snapshots:
                raise ValueError(f"snapshots.{name}: recipe {kept.recipe} keeps no snapshot of epoch {kept.epoch}")
        for name, judged in self.laboratory.items():
            if name != judged.group:
                raise ValueError(f"laboratory.{name} is named {judged.group}")
            if name not in {run.group for run in self.runs.values()}:
                raise ValueError(f"laboratory.{name}: no run has this data set and recipe")
        return self

    @property
    def required(self) -> Settings201:
        """The settings, which a profile with runs has."""
        assert self.settings is not None, "params.yaml was validated"
        return self.settings


class Settings301(LaboratoryParams):
    """The laboratory of the DARTS space. ``architectures``: the first so many of the table. ``chosen``: scores that
    were chosen elsewhere and are judged here unchanged, sums (``a & b``) and products (``a * b``) of ranks by readings
    (:mod:`genas.pipeline.laboratory.combine`)."""

    chosen: Several[str]


class NasBench301Params(Section):
    """The laboratory of the DARTS space, whose supernets are those of the stage ``supernet``; ``settings`` is null
    where nothing is judged."""

    settings: Settings301 | None

    @property
    def required(self) -> Settings301:
        """The settings, which a profile with rows of it has."""
        assert self.settings is not None, "params.yaml was validated"
        return self.settings

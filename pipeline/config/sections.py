"""The sections of ``params.yaml``: frozen models, so that a wrong key or type is an error that names it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
MEASURES = (
    *("flatness", "angle", "accuracy", "loss", "params", "macs"),
    *("synflow", "trained_synflow", "snip", "grad_norm", "naswot"),
)
"""The measures that a metric can be made of, each a module of ``pipeline/measures``."""


def require_measures(names: Iterable[str]) -> None:
    """Refuse names that are no measures.

    Raises:
        ValueError: the first of them.
    """
    for name in names:
        if name not in MEASURES:
            raise ValueError(f"unknown measure {name!r}, expected one of {', '.join(MEASURES)}")


class Section(BaseModel):
    """A frozen part of ``params.yaml``; unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataParams(Section):
    """One data set: its layout on disk and where it comes from.

    ``layout``: ``parquet`` (``{train,test}.parquet`` with ``image`` bytes and ``label``), ``folder``
    (``{train,val}/<class>/*``), ``webdataset`` (``{train,val}/*.tar``, whose samples are an image and a class number),
    ``cifar10`` / ``cifar100`` (torchvision), ``shift`` (``imagenetv2-matched-frequency/``, ``imagenet-a/``,
    ``imagenet-o/``; ``imagenet-r/`` and ``real.json`` may be there), ``coco``, ``cityscapes``, ``camvid``.

    Exactly one origin: ``path`` below the data root, or ``derive``, which writes the set from another one
    (``digits``: scikit-learn's handwritten digits; any other name: an image data set of this profile).
    """

    layout: Literal["parquet", "folder", "webdataset", "cifar10", "cifar100", "shift", "coco", "cityscapes", "camvid"]
    path: str | None = None
    derive: str | None = None
    seed: int = 0
    images: Count | None = Field(None, description="how many scenes to compose for a derived coco or cityscapes set")
    digest: Literal["content", "listing"] = "content"
    source: str = Field("", description="where a set that is missing can be had")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.derive is None):
            raise ValueError("exactly one of path and derive is given")
        return self


class Axes(Section):
    """The rows of a matrix stage: every combination of the axes."""

    dataset: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()
    metric: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    gamma: tuple[int | float, ...] = ()
    row: tuple[str, ...] = ()


class Matrix(Section):
    """Which rows each stage has (``retrain`` has those of ``rows``)."""

    supernet: Axes
    search: Axes
    rerank: Axes
    agreement: Axes
    zoo: Axes
    shift: Axes
    detect: Axes
    segment: Axes


class TrainingParams(Section):
    """How a one-shot network is trained, whatever its space (official train_supernet; the defaults of the paper profile
    have their sources there).

    ``trainer``: ``plain`` leaves gradients and steps to the framework, ``fast`` finds the same, to float tolerance, in
    less time (:mod:`models.fast.gradients`, :mod:`pipeline.supernet.one_vector`).
    """

    trainer: Literal["plain", "fast"]
    train_share: Annotated[float, Field(gt=0, lt=1, description="of the training images; the rest is for the search")]
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    learning_rate_min: Annotated[float, Field(ge=0)]
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Positive
    unselected: Literal["decay", "freeze"]
    labels: Literal["ground_truth", "random"]
    amp: bool
    channels_last: bool
    crop_padding: NotNegative
    flip: bool
    validate_every: Count
    validate_paths: Count
    validate_images: Count


class SupernetParams(TrainingParams):
    """The supernet of the DARTS space: C of the first cell, and its cells."""

    channels: Count
    layers: Annotated[int, Field(ge=3)]


class FlatnessParams(Section):
    """Eq. 4: perturbation sizes, the weight of the depth term, how noise is drawn, and where it acts (Table 7).

    ``positions``: ``all`` parameters of the path, or those of its ``cells`` alone. ``direction``: ``random`` noise, or
    the top Hessian eigenvector at the length that the noise would have. ``magnitude``: sigma itself (``absolute``, as
    in the paper), or ``relative`` to the root mean square of the tensor that is perturbed.
    """

    sigma: Annotated[tuple[Positive, ...], Field(min_length=2)]
    alpha: Annotated[float, Field(ge=0)]
    noise: Literal["independent", "cumulative"]
    draws: Count
    positions: Literal["all", "cells"]
    direction: Literal["random", "hessian"]
    magnitude: Literal["absolute", "relative"]
    hessian_iterations: Annotated[int, Field(ge=1, description="of the power method")]
    hessian_images: Count

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if any(b <= a for a, b in zip(self.sigma, self.sigma[1:], strict=False)):
            raise ValueError(f"sigma must increase, got {list(self.sigma)}")
        return self


class AngleParams(Section):
    """``official`` puts a dilated convolution's BatchNorm weight in the place of its bias, ``fixed`` does not."""

    version: Literal["official", "fixed"]


class MeasureParams(Section):
    """What the measures need: images, BatchNorm recalibration, and each measure's own section.

    ``scorer``: ``plain`` evaluates the supernet as it is written, ``fast`` the same in less time and to float tolerance
    (:mod:`models.fast.folded`), ``native`` in less still, on a CPU with a C compiler (:mod:`models.fast.native`).
    ``precision`` is what ``fast`` computes perturbed losses in; statistics are always float32.
    """

    scorer: Literal["plain", "fast", "native"]
    precision: Literal["float32", "bfloat16"]
    images: Count
    batch_size: Count
    recalibrate_images: Count
    recalibrate: Literal["exact", "official", "none"]
    zero_cost_images: Annotated[int, Field(ge=2, description="for the measures that need no training")]
    flatness: FlatnessParams
    angle: AngleParams

    @model_validator(mode="after")
    def _others_are_float32(self) -> Self:
        if self.scorer != "fast" and self.precision != "float32":
            raise ValueError(f"scorer {self.scorer} computes in float32, precision must say so")
        return self


class MetricParams(Section):
    """What a search maximises, and who proposes candidates.

    ``terms`` weighs measures: their weighted ``sum`` (Eq. 5), or that of their ``rank`` among all candidates so far.
    ``evolution`` or, as a baseline under the same budget, ``random`` proposals. ``{flatness: 1}`` is short for
    ``{terms: {flatness: 1}}``.
    """

    terms: Annotated[dict[str, float], Field(min_length=1)]
    combine: Literal["sum", "rank"] = "sum"
    strategy: Literal["evolution", "random"] = "evolution"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if not isinstance(value, dict) or "terms" in value else {"terms": value}

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.terms)
        return self


class EarlyParams(Section):
    """When a candidate is dropped (:mod:`pipeline.scoring.early`): looked at after each of these ``shares`` of the
    images, if it stays below the last parent at this one-sided ``confidence``."""

    shares: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class SearchParams(Section):
    """Evolution (official search.py and config.py).

    ``max_params`` and ``max_macs`` limit what is proposed, by the cost of the network that Table 2 compares (14 cells,
    48 channels, 224 pixels). ``early`` drops candidates that cannot reach the parents; null scores all to the end.
    """

    population: Count
    generations: Count
    parents: Count
    mutated: NotNegative
    crossed: NotNegative
    mutation_probability: Fraction
    mutate_cells: Literal["both", "normal"]
    max_params: Positive | None
    max_macs: Positive | None
    early: EarlyParams | None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mutated + self.crossed > self.population:
            raise ValueError("mutated + crossed exceeds population")
        return self


class ErrorParams(Section):
    """How the standard error of flatness is found: each of ``replicates`` has images and noise of its own."""

    architectures: Count
    images: Annotated[tuple[Count, ...], Field(min_length=1)]
    draws: Annotated[tuple[Count, ...], Field(min_length=1)]
    replicates: Annotated[int, Field(ge=2)]


class AgreementParams(Section):
    """How far measures agree: their values on the same random architectures, and the error of flatness."""

    architectures: Annotated[int, Field(ge=2)]
    measures: Annotated[tuple[str, ...], Field(min_length=2)]
    error: ErrorParams

    @model_validator(mode="after")
    def _known(self) -> Self:
        require_measures(self.measures)
        return self


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
    seed: NotNegative


class Truth201(Section):
    """What a data set's runs are judged by: columns of the benchmark, accuracies after 200 epochs."""

    truths: Annotated[tuple[Literal["cifar10", "cifar100", "imagenet16_120"], ...], Field(min_length=1)]


class Settings201(Section):
    """The laboratory's settings.

    ``table`` is the benchmark below the data root: a parquet table, or the official folder of NATS-Bench.
    ``architectures``: how many are scored, drawn evenly along the number of parameters; null for all 15,625.
    ``noises``: ways to perturb, by name; ``curve`` is that of Tables 5 and 6, ``cells`` that of Table 7.
    ``hessian``: of how many architectures the Hessian's eigenvectors are found. ``gamma``: weight of flatness in a sum
    (Eq. 5). ``top``: K of Figure 2 and of the precision. ``bootstrap``: resamples of an interval.
    """

    table: str
    supernet: Supernet201Params
    measures: MeasureParams
    noises: dict[str, FlatnessParams]
    architectures: Annotated[int, Field(ge=10)] | None
    hessian: NotNegative
    gamma: Positive
    top: Count
    bootstrap: Count


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


class RetrainParams(Section):
    """Stand-alone training: on what, and with which generators; how is in the recipe that a row names."""

    dataset: str
    seed: NotNegative
    workers: NotNegative


class RecipeParams(Section):
    """How a network is trained (official retrain_architecture, or another).

    ``batch_size`` is that of a step, however many processes share it and in however many parts (``accumulate``) each
    takes it. BatchNorm sees one part; of all processes with ``sync_batchnorm``, else of its own.

    ``optimizer``: a name of timm's (``momentum`` is SGD without Nesterov's). ``decay``: weight decay on ``all``
    parameters, or on the ``weights`` of convolutions and of the classifier only. ``preprocessing``: ``timm``, or
    ``official`` (square crop, PCA lighting, OpenCV), which knows none of ``color_jitter``, ``auto_augment`` and
    ``random_erasing``. ``ema_decay``: of the moving average of the weights, which is then what is validated and kept;
    0 for none. ``keep``: the weights of the last epoch, or of the first with the best top-1.
    """

    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Count
    sync_batchnorm: bool
    precision: Literal["float32", "bfloat16", "float16"]
    optimizer: str
    learning_rate: Positive
    schedule: Literal["linear", "cosine"]
    warmup_epochs: NotNegative
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    decay: Literal["all", "weights"]
    clip_norm: Positive | None
    label_smoothing: Fraction
    auxiliary_weight: Annotated[float, Field(ge=0)]
    drop_path: Fraction
    preprocessing: Literal["timm", "official"]
    crop_scale_min: Annotated[float, Field(gt=0, le=1)]
    flip: bool
    color_jitter: Fraction
    auto_augment: str | None
    random_erasing: Fraction
    mixup: Annotated[float, Field(ge=0)]
    cutmix: Annotated[float, Field(ge=0)]
    normalise: Literal["dataset", "none"]
    interpolation: Literal["bilinear", "bicubic"]
    crop_pct: Annotated[float, Field(gt=0, le=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    keep: Literal["last", "best"]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.schedule == "linear" and self.epochs <= 5:
            raise ValueError("the linear schedule has a slope of its own in the last 5 epochs; epochs must exceed 5")
        if self.batch_size < 2 * self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} in {self.accumulate} parts: a part has at least 2 images")
        if self.preprocessing == "official":
            if self.color_jitter or self.auto_augment or self.random_erasing:
                raise ValueError("the official preprocessing has no color_jitter, auto_augment or random_erasing")
            if self.interpolation != "bilinear":
                raise ValueError("the official preprocessing is bilinear")
        return self


class Row(Section):
    """One retrained network: ``cell`` names the row of search, rerank or zoo that its genotype comes from, ``recipe``
    how it is trained.

    Its ``width`` is given, or found as that which brings the network nearest to ``macs`` multiply-adds at
    ``image_size`` pixels.
    """

    cell: str
    width: Count | None = None
    macs: Positive | None = None
    layers: Annotated[int, Field(ge=3)]
    stem: Literal["imagenet", "cifar"]
    image_size: Count
    recipe: str

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.width is None) == (self.macs is None):
            raise ValueError("exactly one of width and macs is given")
        return self


class ShiftParams(Section):
    """Evaluation under distribution shift."""

    dataset: str
    batch_size: Count


class DetectParams(Section):
    """RetinaNet: Detectron2's own configuration plus ``overrides`` in Detectron2's own keys (paper: none)."""

    dataset: str
    seed: int
    base: str
    overrides: dict[str, Any]
    checkpoint_period: Count


class SegmentParams(Section):
    """DeepLab-v3: MMSegmentation's own configuration plus ``overrides`` in its own dotted keys (paper: none)."""

    dataset: str
    seed: int
    base: str
    overrides: dict[str, Any]
    checkpoint_period: Count

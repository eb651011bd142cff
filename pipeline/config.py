"""``params.yaml`` as frozen models: every number that changes a result, validated before anything runs.

A profile is a folder with its own ``params.yaml``: the repository's root is the paper's, ``profiles/demo`` and
``profiles/mini`` lie beside it. Unknown keys and wrong types are errors that name the key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import GenasError

REPOSITORY = Path(__file__).parent.parent
PROFILES = {
    "demo": REPOSITORY / "profiles" / "demo",
    "mini": REPOSITORY / "profiles" / "mini",
    "paper": REPOSITORY,
}

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
MEASURES = ("flatness", "angle", "accuracy")
"""The measures that a metric can be made of, each a module of ``pipeline/measures``."""


class Section(BaseModel):
    """A frozen part of ``params.yaml``; unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataParams(Section):
    """One data set: its layout on disk and where it comes from.

    ``layout``: ``parquet`` (``{train,test}.parquet`` with ``image`` bytes and ``label``), ``folder``
    (``{train,val}/<class>/*``), ``cifar10`` / ``cifar100`` (torchvision), ``shift`` (``imagenetv2-matched-frequency/``,
    ``imagenet-a/``, ``imagenet-o/``), ``coco``, ``cityscapes``, ``camvid``.

    Exactly one origin: ``path`` below the data root, or ``derive``, which writes the set from another one
    (``digits``: scikit-learn's handwritten digits; any other name: a folder data set of this profile).
    """

    layout: Literal["parquet", "folder", "cifar10", "cifar100", "shift", "coco", "cityscapes", "camvid"]
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
    row: tuple[str, ...] = ()


class Matrix(Section):
    """Which rows each stage has (``retrain`` has those of ``rows``)."""

    supernet: Axes
    search: Axes
    zoo: Axes
    shift: Axes
    detect: Axes
    segment: Axes


class SupernetParams(Section):
    """Supernet training (official train_supernet; the defaults of the paper profile have their sources there)."""

    channels: Count
    layers: Annotated[int, Field(ge=3)]
    train_share: Annotated[float, Field(gt=0, lt=1, description="of the training images; the rest is for the search")]
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    learning_rate_min: Annotated[float, Field(ge=0)]
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Positive
    unselected: Literal["decay", "freeze"]
    crop_padding: NotNegative
    flip: bool
    validate_every: Count
    validate_paths: Count
    validate_images: Count


class FlatnessParams(Section):
    """Eq. 4: perturbation sizes, the weight of the depth term, and how noise is drawn."""

    sigma: Annotated[tuple[Positive, ...], Field(min_length=2)]
    alpha: Annotated[float, Field(ge=0)]
    noise: Literal["independent", "cumulative"]
    draws: Count

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if any(b <= a for a, b in zip(self.sigma, self.sigma[1:], strict=False)):
            raise ValueError(f"sigma must increase, got {list(self.sigma)}")
        return self


class MeasureParams(Section):
    """What the measures need: images, BatchNorm recalibration, and each measure's own section."""

    images: Count
    batch_size: Count
    recalibrate_images: Count
    recalibrate: Literal["exact", "official"]
    flatness: FlatnessParams


class SearchParams(Section):
    """Evolution (official search.py and config.py)."""

    population: Count
    generations: Count
    parents: Count
    mutated: NotNegative
    crossed: NotNegative
    mutation_probability: Fraction
    mutate_cells: Literal["both", "normal"]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mutated + self.crossed > self.population:
            raise ValueError("mutated + crossed exceeds population")
        return self


class RetrainParams(Section):
    """The recipe of stand-alone training (official retrain_architecture)."""

    dataset: str
    seed: int
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    schedule: Literal["linear", "cosine"]
    warmup_epochs: NotNegative
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Fraction
    clip_norm: Positive
    auxiliary_weight: Annotated[float, Field(ge=0)]
    drop_path: Fraction
    crop_scale_min: Fraction
    flip: bool
    color_jitter: Fraction
    normalise: Literal["dataset", "none"]
    crop_pct: Annotated[float, Field(gt=0, le=1)]
    amp: bool
    workers: NotNegative

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.schedule == "linear" and self.epochs <= 5:
            raise ValueError("the linear schedule has a slope of its own in the last 5 epochs; epochs must exceed 5")
        return self


class Row(Section):
    """One retrained network: ``cell`` names where its genotype comes from (``search/<row>`` or ``zoo/<id>``)."""

    cell: str
    width: Count
    layers: Annotated[int, Field(ge=3)]
    stem: Literal["imagenet", "cifar"]
    image_size: Count


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


class Params(Section):
    """A whole ``params.yaml``."""

    profile: str
    code: str
    data: dict[str, DataParams]
    matrix: Matrix
    rows: dict[str, Row]
    supernet: SupernetParams
    measures: MeasureParams
    metrics: dict[str, dict[str, float]]
    search: SearchParams
    retrain: RetrainParams
    shift: ShiftParams
    detect: DetectParams
    segment: SegmentParams

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, terms in self.metrics.items():
            for term in terms:
                if term not in MEASURES:
                    raise ValueError(f"metrics.{name}: unknown measure {term!r}, expected one of {', '.join(MEASURES)}")
        for name in self.matrix.search.metric:
            if name not in self.metrics:
                raise ValueError(
                    f"matrix.search.metric: unknown metric {name!r}, defined are {', '.join(self.metrics)}"
                )
        used = [("retrain", self.retrain.dataset), ("shift", self.shift.dataset)]
        used += [("detect", self.detect.dataset), ("segment", self.segment.dataset)]
        used += [("matrix.supernet", name) for name in self.matrix.supernet.dataset]
        used += [("matrix.search", name) for name in self.matrix.search.dataset]
        for key, name in used:
            if name not in self.data:
                raise ValueError(f"{key}: unknown data set {name!r}, defined are {', '.join(self.data)}")
        rows = self.stage_rows()
        for name, one in self.rows.items():
            stage, _, row = one.cell.partition("/")
            if stage not in ("search", "zoo") or row not in rows[stage]:
                raise ValueError(f"rows.{name}.cell: {one.cell!r} is no row of search or zoo in matrix")
        for stage in ("shift", "detect", "segment"):
            for row in getattr(self.matrix, stage).row:
                if row not in self.rows:
                    raise ValueError(f"matrix.{stage}.row: unknown row {row!r}, defined are {', '.join(self.rows)}")
        return self

    def stage_rows(self) -> dict[str, list[str]]:
        """The row names of every stage, in the order of the chain, as DVC names them."""
        m = self.matrix
        return {
            "data": list(self.data),
            "supernet": [f"{d}-{s}" for d in m.supernet.dataset for s in m.supernet.seed],
            "search": [f"{d}-{k}-{s}" for d in m.search.dataset for k in m.search.metric for s in m.search.seed],
            "zoo": list(m.zoo.row),
            "retrain": list(self.rows),
            "shift": list(m.shift.row),
            "detect": list(m.detect.row),
            "segment": list(m.segment.row),
        }


def explain(error: ValidationError, origin: Path) -> str:
    """A validation error as one line: the file, the first wrong key, what is wrong with it, how many more."""
    first, *more = error.errors()
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key"
    elif first["type"] != "value_error" and first["type"] != "missing":
        message += f", got {first['input']!r}"
    rest = f" (and {len(more)} more)" if more else ""
    return f"{origin}: {key + ': ' if key else ''}{message}{rest}"


def load_params(folder: Path) -> Params:
    """The validated parameters of a profile's folder.

    Raises:
        GenasError: no ``params.yaml``, no YAML, an unknown or missing key, a wrong type or name.
    """
    path = folder / "params.yaml"
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise GenasError(f"{path}: no such file; a profile is a folder with a params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise GenasError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise GenasError(explain(error, path)) from None


def profile_folder(profile: str) -> Path:
    """The folder of a profile given by name, or by path for a profile of one's own.

    Raises:
        GenasError: no such profile.
    """
    folder = PROFILES.get(profile, Path(profile))
    if not (folder / "params.yaml").exists():
        raise GenasError(f"unknown profile {profile!r}, expected {', '.join(PROFILES)} or a folder with a params.yaml")
    return folder.resolve()


def data_root() -> Path:
    """Where real data lies: ``GENAS_DATA``, else ``../shared/data`` beside the repository, else ``./data``."""
    configured = os.environ.get("GENAS_DATA")
    if configured:
        return Path(configured).expanduser()
    shared = REPOSITORY.parent / "shared" / "data"
    return shared if shared.is_dir() else REPOSITORY / "data"

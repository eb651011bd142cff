"""A whole ``params.yaml``: its sections, what they must agree on, and how it is read."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from genas.models.errors import GenasError
from genas.pipeline.config.base import Name, OrNull, Section
from genas.pipeline.config.laboratory import NasBench201Params, NasBench301Params
from genas.pipeline.config.networks import (
    CurvatureParams,
    DetectParams,
    RecipeParams,
    RetrainParams,
    SegmentParams,
    ShiftParams,
)
from genas.pipeline.config.reading import read_yaml
from genas.pipeline.config.rows import (
    DIGITS,
    UNCLASSIFIED,
    DataParams,
    Matrix,
    NetworkAxes,
    ReseedAxes,
    Row,
    SearchAxes,
    SeededAxes,
)
from genas.pipeline.config.search import AgreementParams, MeasureParams, MetricParams, ReplicaParams, SearchParams
from genas.pipeline.config.supernets import SupernetParams, TrainingParams


class Params(Section):
    """A whole ``params.yaml``. Sections that no row of the profile reads may be null."""

    profile: Name
    code: str
    data: dict[Name, DataParams]
    matrix: Matrix
    rows: dict[Name, Row]
    supernet: dict[Name, SupernetParams]
    measures: OrNull[MeasureParams]
    metrics: dict[Name, MetricParams]
    search: dict[Name, SearchParams]
    agreement: OrNull[AgreementParams]
    replica: OrNull[ReplicaParams]
    nasbench201: NasBench201Params
    nasbench301: NasBench301Params
    retrain: OrNull[RetrainParams]
    recipes: dict[Name, RecipeParams]
    shift: OrNull[ShiftParams]
    curvature: OrNull[CurvatureParams]
    detect: OrNull[DetectParams]
    segment: OrNull[SegmentParams]

    @model_validator(mode="after")
    def _sections_are_there(self) -> Self:
        for stage, axes in self.matrix:
            sections = ["measures"] if hasattr(axes, "dataset") else []
            for section in (*sections, stage):  # some stages have no section of their name
                if axes.rows() and getattr(self, section, axes) is None:
                    raise ValueError(f"{section}: null, but matrix.{stage} has rows that read it")
        if self.rows and self.retrain is None:
            raise ValueError("retrain: null, but there are rows to retrain")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        matrix = self.matrix
        for stage, metrics in (("search", matrix.search.metric), ("reseed", matrix.reseed.metric)):
            for name in metrics:
                if name not in self.metrics:
                    raise ValueError(
                        f"matrix.{stage}.metric: unknown metric {name!r}, defined are {', '.join(self.metrics)}"
                    )
        for name, data in self.data.items():
            if data.derive in (None, DIGITS):
                continue
            origin = self.data.get(str(data.derive))
            if origin is None or origin is data:
                raise ValueError(f"data.{name}.derive: unknown data set {data.derive!r}, expected {DIGITS} or another")
            if origin.layout in UNCLASSIFIED:
                which = f"{data.derive!r} has no images by class, its layout is {origin.layout}"
                raise ValueError(f"data.{name}.derive: {which}")
        sections: list[tuple[str, ShiftParams | DetectParams | SegmentParams | None]]
        sections = [("shift", self.shift), ("detect", self.detect), ("segment", self.segment)]
        used = [(key, section.dataset) for key, section in sections if section is not None]
        used += [(f"rows.{row}", network.dataset) for row, network in self.rows.items()]
        used += [("supernet", name) for name in self.supernet] + [("search", name) for name in self.search]
        of_supernets = {stage: axes for stage, axes in matrix if hasattr(axes, "dataset")}
        used += [(f"matrix.{stage}", name) for stage, axes in of_supernets.items() for name in axes.dataset]
        used += [(f"nasbench201.runs.{row}", run.dataset) for row, run in self.nasbench201.runs.items()]
        for key, name in used:
            if name not in self.data:
                raise ValueError(f"{key}: unknown data set {name!r}, defined are {', '.join(self.data)}")
        for name in (name for axes in of_supernets.values() for name in axes.dataset):
            if name not in self.supernet:
                raise ValueError(f"supernet.{name}: no settings for this data set")
        if matrix.nasbench301.rows() and self.nasbench301.settings is None:
            raise ValueError("nasbench301.settings are needed for the rows of matrix.nasbench301")
        for name in (*matrix.search.dataset, *matrix.reseed.dataset):
            if name not in self.search:
                raise ValueError(f"search.{name}: no settings for this data set")
        trained: list[tuple[str, str, TrainingParams]]
        trained = [(f"supernet.{name}", name, training) for name, training in self.supernet.items()]
        for row, run in self.nasbench201.runs.items():
            trained.append((f"nasbench201.runs.{row}", run.dataset, self.nasbench201.required.recipes[run.recipe]))
        for key, name, training in trained:
            if self.data[name].pixels is None:
                raise ValueError(f"{key}: data.{name} says no pixels, at which a supernet sees its images")
            if training.split == "file" and self.data[name].split is None:
                raise ValueError(f"{key}: split file, but data.{name} names no split")
        searched = self.matrix.search.rows()
        for row in self.matrix.rerank.search:
            if row not in searched:
                raise ValueError(
                    f"matrix.rerank.search: {row!r} is no row of search, defined are {', '.join(searched)}"
                )
            if "flatness" not in self.metric_of(row).terms:
                raise ValueError(f"matrix.rerank.search: {row!r} was not searched with flatness, which gamma weighs")
            if 0 in self.matrix.rerank.gamma and len(self.metric_of(row).terms) == 1:
                raise ValueError(f"matrix.rerank.gamma: 0 leaves nothing of {row!r}, which has no term but flatness")
        found = (("search", searched), ("reseed", matrix.reseed.rows()), ("rerank", matrix.rerank.rows()))
        cells = {f"{stage}/{row}" for stage, rows in (*found, ("zoo", matrix.zoo.row)) for row in rows}
        for name, network in self.rows.items():
            if network.recipe not in self.recipes:
                raise ValueError(
                    f"rows.{name}.recipe: unknown recipe {network.recipe!r}, defined are {', '.join(self.recipes)}"
                )
            if network.cell not in cells:
                raise ValueError(
                    f"rows.{name}.cell: {network.cell!r} is no row of search, reseed, rerank or zoo in matrix"
                )
        for stage, axes in self.matrix:
            for row in axes.row if isinstance(axes, NetworkAxes) else ():
                if row not in self.rows:
                    raise ValueError(f"matrix.{stage}.row: unknown row {row!r}, defined are {', '.join(self.rows)}")
                judge, dataset = getattr(self, stage), self.rows[row].dataset
                if isinstance(judge, ShiftParams | CurvatureParams) and judge.trained_on != dataset:
                    raise ValueError(
                        f"{stage}.trained_on: {judge.trained_on!r}, but {stage} judges {row!r} of {dataset!r}"
                    )
        return self

    @model_validator(mode="after")
    def _supernets_exist(self) -> Self:
        """Those that rows look into, and splits that a seed can change."""
        trained = self.matrix.supernet.rows()
        for stage, axes in self.matrix:
            if stage != "supernet" and isinstance(axes, SeededAxes | SearchAxes | ReseedAxes):
                for row, own in axes.rows().items():
                    supernet = f"{own['dataset']}-{own.get('supernet', own['seed'])}"
                    if supernet not in trained:
                        raise ValueError(
                            f"matrix.{stage}: {row!r} looks into supernet {supernet!r}, which matrix.supernet lacks, "
                            f"defined are {', '.join(trained) or 'none'}"
                        )
        for name in self.matrix.replica.dataset if len(self.matrix.replica.split) > 1 else ():
            if self.supernet[name].split != "random":
                raise ValueError(
                    f"matrix.replica.split: supernet.{name} has the split {self.supernet[name].split!r}, which no seed "
                    "changes"
                )
        return self

    def metric_of(self, search: str) -> MetricParams:
        """The metric of a row of the search."""
        return self.metrics[self.matrix.search.rows()[search]["metric"]]


def explain(error: ValidationError, origin: Path) -> str:
    """A validation error as one line: the file, the first wrong key, what is wrong with it, how many more; of keys that
    are missing all of them."""
    first, *more = error.errors()
    missing = ", ".join(_key(one["loc"]) for one in (first, *more) if one["type"] == "missing")
    key, message = _key(first["loc"]), first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        key, more, missing = missing, [one for one in more if one["type"] != "missing"], ""
    elif first["type"] == "extra_forbidden":
        message = "unknown key"
    elif first["type"] != "value_error":
        message += f", got {reprlib.repr(first['input'])}"
    rest = f" (and {len(more)} more{'; missing: ' * bool(missing)}{missing})" if more else ""
    return " ".join(f"{origin}: {key + ': ' if key else ''}{message}{rest}".split())


def _key(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def load_params(folder: Path) -> Params:
    """The validated parameters of a profile's folder.

    Raises:
        GenasError: no ``params.yaml``, no YAML, an unknown or missing key, a wrong type or name.
    """
    path = folder / "params.yaml"
    try:
        return Params.model_validate(read_yaml(path))
    except ValidationError as error:
        raise GenasError(explain(error, path)) from None

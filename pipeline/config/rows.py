"""Which rows the stages have: data sets, axes of the matrix, retrained networks."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from genas.pipeline.config.base import Below, Count, Name, Positive, Section, Seed, Several
from genas.pipeline.config.installed import offered

UNCLASSIFIED = ("shift", "coco", "cityscapes", "camvid")
"""Layouts that are not images for training, each with one class."""
LAYOUTS = ("parquet", "folder", "webdataset", "cifar10", "cifar100", *UNCLASSIFIED)
"""Of data sets, beside those that installed packages offer."""


def require_layout(name: str) -> str:
    """Refuse what is no layout.

    Raises:
        ValueError: with those there are.
    """
    if name not in LAYOUTS and name not in offered("layouts"):
        raise ValueError(f"unknown layout, expected one of {', '.join((*LAYOUTS, *offered('layouts')))}, got {name!r}")
    return name


DIGITS = "digits"
"""What a data set can be derived from beside those of the profile: the digits that scikit-learn ships."""


class DataParams(Section):
    """One data set: its layout on disk and where it comes from.

    ``layout``: ``parquet`` (``{train,test}.parquet`` with ``image`` bytes and ``label``), ``folder``
    (``{train,val}/<class>/*``), ``webdataset`` (``{train,val}/*.tar``, whose samples are an image and a class number),
    ``cifar10`` / ``cifar100`` (torchvision), ``shift`` (``imagenetv2-matched-frequency/``, ``imagenet-a/``,
    ``imagenet-o/``; ``imagenet-r/`` and ``real.json`` may be there), ``coco``, ``cityscapes``, ``camvid``; or one that
    an installed package offers (:class:`genas.pipeline.data.reading.layouts.Layout`).

    Exactly one origin: ``path`` below the data root, or ``derive``, which writes the set from another one
    (``digits``: scikit-learn's handwritten digits; any other name: an image data set of this profile). A ``parquet``
    set that is derived from another one is its copy at ``pixels``.

    ``split``: a file below the data root that says which images a supernet is trained on and which are held out
    (:mod:`genas.pipeline.data.reading.splits`).
    """

    layout: Annotated[str, AfterValidator(require_layout)]
    digest: Literal["content", "listing"]
    path: Below | None = None
    derive: str | None = None
    seed: Seed | None = Field(None, description="of what is drawn for a derived set")
    pixels: Count | None = Field(None, description="height and width at which a supernet sees the images")
    split: Below | None = Field(None, description="file of the images that train and those that are held out")
    images: Count | None = Field(None, description="how many scenes to compose for a derived coco or cityscapes set")
    source: str = Field("", description="where a set that is missing can be had")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.derive is None):
            raise ValueError("exactly one of path and derive is given")
        composed = self.derive is not None and self.layout in ("coco", "cityscapes")
        copied = self.derive not in (None, DIGITS) and self.layout == "parquet"
        if copied and self.pixels is None:
            raise ValueError("pixels is missing")
        for key, wanted in (("seed", self.derive is not None and not copied), ("images", composed)):
            if wanted != (getattr(self, key) is not None):
                raise ValueError(f"{key} {'is missing' if wanted else 'says nothing here'}")
        return self

    @property
    def required_seed(self) -> int:
        """The seed, which a derived set has unless it is a copy."""
        assert self.seed is not None, "params.yaml was validated"
        return self.seed


class Axes(Section):
    """The rows of a matrix stage: every combination of the axes, which are the fields in their order."""

    def rows(self) -> dict[str, dict[str, str]]:
        """Each row's axes by its name, which joins them as DVC does."""
        names = list(type(self).model_fields)
        combined = [map(str, values) for values in product(*(getattr(self, name) for name in names))]
        return {"-".join(row): dict(zip(names, row, strict=True)) for row in map(tuple, combined)}


class SeededAxes(Axes):
    """A data set and a seed."""

    dataset: Several[str]
    seed: Several[Seed]


class SearchAxes(Axes):
    """A data set, a metric and a seed: of the supernet, of the noise and of the evolution alike."""

    dataset: Several[str]
    metric: Several[str]
    seed: Several[Seed]


class ReseedAxes(Axes):
    """A search whose seeds are apart: of the ``supernet``, which is a row of the supernets; of the ``noise`` under
    which it scores; ``seed``, of its evolution."""

    dataset: Several[str]
    metric: Several[str]
    supernet: Several[Seed]
    noise: Several[Seed]
    seed: Several[Seed]


class ReplicaAxes(Axes):
    """A supernet of its own: a data set, the seed of the ``split`` of its images, and that of all else."""

    dataset: Several[str]
    split: Several[Seed]
    seed: Several[Seed]


class RerankAxes(Axes):
    """A row of the search, and another weight of flatness."""

    search: Several[str]
    gamma: Several[int | float]


class CellAxes(Axes):
    """Published cells, by their names in the zoo; they stand in the commands of ``dvc.yaml``."""

    row: Several[Name]


class NetworkAxes(Axes):
    """Retrained networks, by their names in ``rows``."""

    row: Several[str]


class Matrix(Section):
    """Which rows each stage has (``retrain`` has those of ``rows``)."""

    supernet: SeededAxes
    search: SearchAxes
    reseed: ReseedAxes
    rerank: RerankAxes
    agreement: SeededAxes
    replica: ReplicaAxes
    nasbench301: SeededAxes
    zoo: CellAxes
    shift: NetworkAxes
    curvature: NetworkAxes
    detect: NetworkAxes
    segment: NetworkAxes


class Row(Section):
    """One retrained network: ``cell`` names the row of search, reseed, rerank or zoo that its genotype comes from,
    ``dataset`` what it is trained on, ``recipe`` how, and ``seed`` with which generators: rows that differ in seeds
    alone repeat each other.

    Its ``width`` is given, or found as that which brings the network nearest to ``macs`` multiply-adds at
    ``image_size`` pixels.
    """

    cell: str
    dataset: str
    width: Count | None = None
    macs: Positive | None = None
    layers: Annotated[int, Field(ge=3)]
    stem: Literal["imagenet", "cifar"]
    image_size: Annotated[int, Field(ge=32)]
    recipe: str
    seed: Seed

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.width is None) == (self.macs is None):
            raise ValueError("exactly one of width and macs is given")
        return self

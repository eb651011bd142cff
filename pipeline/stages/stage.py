"""What a stage is, to whatever enumerates stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from genas.pipeline.config import Params

Key = tuple[str, str]
"""A row of a stage: ``("search", "cifar10-flatness-0")``; the only row of a stage without axes is called ``""``."""
Axes = Mapping[str, str]
"""What distinguishes a row, in the order of its name: ``{"dataset": "cifar10", "seed": "0"}``."""
Rows = Callable[[Params], Mapping[str, Axes]]
Reads = Callable[[Params, Axes], Iterable[Key]]
Keys = Callable[[Params, Axes], Mapping[str, str]]
Names = Callable[[Params, Axes], Iterable[str]]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: as in ``dvc.yaml``; rows lie in ``out/<name>/<row>``.
        module: whose ``run(context)`` it is.
        title: a heading for its results.
        axes: of a row, in the order of its name.
        rows: the rows of a profile.
        reads: the rows that a row reads.
        forecast: ``module:name`` of what tells how much work a row is (:mod:`genas.pipeline.forecast.work`).
        keys: of ``params.yaml``, on which a row depends, by the names under which its settings are shown.
        measures: the search measures whose code a row depends on.
        flow: the named flow that brings it up to date; empty where only the flow of everything does.
        hours: after which a row is stopped, with room for ImageNet on one GPU.
        scan: whether it looks where DVC does not, and therefore runs every time.
        processes: whether several processes may work on a row together.
        reported: whether the report shows it.
        leaves_cell: whether a row leaves a ``genotype.json`` that can be retrained.
        judges: the metrics by which it judges a retrained network, in the order of a table.
        pictures: that can be drawn of a row (:mod:`genas.pipeline.drawing.rows`).
        task: the metrics of the model that it trains for another task around a retrained network, if it does.
    """

    name: str
    module: str
    title: str
    axes: tuple[str, ...]
    rows: Rows
    reads: Reads
    forecast: str
    keys: Keys = lambda params, axes: {}
    measures: Names = lambda params, axes: ()
    flow: str = ""
    hours: float = 4
    scan: bool = False
    processes: bool = False
    reported: bool = True
    leaves_cell: bool = False
    judges: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    task: tuple[str, ...] = ()

    @property
    def phase(self) -> str:
        """The package of ``pipeline`` that it lives in, or its module where it is one: ``search``, ``transfer``."""
        return self.module.split(".")[2]

    @property
    def source(self) -> str:
        """The file of its module, relative to the repository: ``pipeline/search/stage.py``."""
        return "/".join(self.module.split(".")[1:]) + ".py"

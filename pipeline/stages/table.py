"""The table of stages: what each is called, which rows it has, what a row reads and which parameters it depends on.

Whatever enumerates stages reads this table. DVC's graph says the same in its own words, and a test holds the two
together for every profile. A new stage is an entry here, a block in ``dvc.yaml`` and a module with ``run(context)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline.config import DIGITS, Params

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
        forecast: ``module:name`` of what tells how much work a row is (:mod:`pipeline.forecast.work`).
        keys: of ``params.yaml``, on which a row depends, by the names under which its settings are shown.
        measures: the search measures whose code a row depends on.
        flow: the named flow that brings it up to date; empty where only the flow of everything does.
        hours: after which a row is stopped, with room for ImageNet on one GPU.
        scan: whether it looks where DVC does not, and therefore runs every time.
        processes: whether several processes may work on a row together.
        reported: whether the report shows it.
        leaves_cell: whether a row leaves a ``genotype.json`` that can be retrained.
        judges: the metrics by which it judges a retrained network, in the order of a table.
        pictures: that can be drawn of a row (:mod:`pipeline.drawing.rows`).
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
        return self.module.split(".")[1]


DAY = 24.0
RECIPE201 = "nasbench201.settings.recipes.{recipe}"


def _single(params: Params) -> Mapping[str, Axes]:
    return {"": {}}


def _matrix(name: str) -> Rows:
    return lambda params: getattr(params.matrix, name).rows()


def _runs(params: Params) -> Mapping[str, Axes]:
    runs = params.nasbench201.runs.items()
    return {name: {"dataset": run.dataset, "recipe": run.recipe, "seed": str(run.seed)} for name, run in runs}


def _judged(params: Params) -> Mapping[str, Axes]:
    judged = params.nasbench201.laboratory.items()
    return {name: {"dataset": one.dataset, "recipe": one.recipe} for name, one in judged}


def _keys(*same: str, prefix: str = "", **named: str) -> Keys:
    """Keys shown under their own names, of a section ``prefix`` if given, and others that depend on the axes."""
    shown = {name: prefix + name for name in same}
    return lambda params, axes: {**{name: key.format(**axes) for name, key in named.items()}, **shown}


def _origin(params: Params, axes: Axes) -> Iterable[Key]:
    """The data set of the profile that a derived one is made from; digits are the library's, whatever is called so."""
    origin = params.data[axes["dataset"]].derive
    return [("data", origin)] if origin not in (None, DIGITS) else []


def _supernet(stage: str, *axes_of: str) -> Reads:
    """What a row reads that looks into a supernet, whose row has the axes ``axes_of`` of its own."""
    return lambda params, axes: [("data", axes["dataset"]), (stage, "-".join(axes[name] for name in axes_of))]


def _retrained(*datasets: Callable[[Params], str]) -> Reads:
    return lambda params, axes: [*(("data", name(params)) for name in datasets), ("retrain", axes["row"])]


def _cell(params: Params, axes: Axes) -> Iterable[Key]:
    stage, _, row = params.rows[axes["row"]].cell.partition("/")
    return [("data", params.retrain.dataset), (stage, row)]


def _recipe(params: Params, axes: Axes) -> Mapping[str, str]:
    row = axes["row"]
    return {"retrain": "retrain", "row": f"rows.{row}", "recipe": f"recipes.{params.rows[row].recipe}"}


def _rerated(params: Params, axes: Axes) -> Mapping[str, str]:
    metric = params.matrix.search.rows()[axes["search"]]["metric"]
    return {"measures": "measures", "metric": f"metrics.{metric}"}


def _everything_reported(params: Params, axes: Axes) -> Iterable[Key]:
    reported = [(name, row) for name, stage in STAGES.items() if stage.reported for row in stage.rows(params)]
    return [("measures", ""), *reported]  # which makes the folders of stages without rows


_STAGES = (
    Stage(
        "data", "pipeline.data.stage", "Data", ("dataset",),
        rows=lambda params: {name: {"dataset": name} for name in params.data},
        reads=_origin,
        keys=_keys(data="data.{dataset}"),
        forecast="pipeline.forecast.light:SCANS",
        hours=DAY / 2, scan=True,
    ),
    Stage(
        "measures", "pipeline.scoring.code", "Code of the measures", (),
        rows=_single,
        reads=lambda params, axes: [],
        keys=_keys("metrics"),
        forecast="pipeline.forecast.light:SCANS",
        scan=True, reported=False,
    ),
    Stage(
        "supernet", "pipeline.supernet.stage", "Supernets", ("dataset", "seed"),
        rows=_matrix("supernet"),
        reads=lambda params, axes: [("data", axes["dataset"])],
        keys=_keys("measures", supernet="supernet.{dataset}", data="data.{dataset}"),
        forecast="pipeline.forecast.supernets:SUPERNET",
        flow="supernet", hours=14 * DAY, processes=True, pictures=("curves",),
    ),
    Stage(
        "search", "pipeline.search.stage", "Searches", ("dataset", "metric", "seed"),
        rows=_matrix("search"),
        reads=_supernet("supernet", "dataset", "seed"),
        keys=_keys(
            "measures", supernet="supernet.{dataset}", search="search.{dataset}", data="data.{dataset}",
            metric="metrics.{metric}",
        ),
        forecast="pipeline.forecast.scoring:SEARCH",
        measures=lambda params, axes: params.metrics[axes["metric"]].terms,
        flow="search", hours=7 * DAY, leaves_cell=True, pictures=("evolution", "cell"),
    ),
    Stage(
        "rerank", "pipeline.analysis.rerank", "Searches rated with another gamma", ("search", "gamma"),
        rows=_matrix("rerank"),
        reads=lambda params, axes: [("search", axes["search"])],
        keys=_rerated,
        forecast="pipeline.forecast.light:TABLES",
        measures=lambda params, axes: params.metric_of(axes["search"]).terms,
        flow="search", leaves_cell=True, pictures=("cell",),
    ),
    Stage(
        "agreement", "pipeline.analysis.agreement", "Agreement of the measures", ("dataset", "seed"),
        rows=_matrix("agreement"),
        reads=_supernet("supernet", "dataset", "seed"),
        keys=_keys("measures", "agreement", supernet="supernet.{dataset}", data="data.{dataset}"),
        forecast="pipeline.forecast.scoring:AGREEMENT",
        measures=lambda params, axes: {*params.agreement.measures, "flatness"},
        flow="search", pictures=("ranks",),
    ),
    Stage(
        "supernet201", "pipeline.nasbench201.supernet", "Supernets of NAS-Bench-201", ("dataset", "recipe", "seed"),
        rows=_runs,
        reads=lambda params, axes: [("data", axes["dataset"])],
        keys=_keys("measures", prefix="nasbench201.settings.", recipe=RECIPE201, data="data.{dataset}"),
        forecast="pipeline.forecast.supernets:SUPERNET",
        flow="laboratory", hours=14 * DAY, processes=True, reported=False, pictures=("curves",),
    ),
    Stage(
        "nasbench201", "pipeline.nasbench201.measuring", "Readings of NAS-Bench-201", ("dataset", "recipe", "seed"),
        rows=_runs,
        reads=_supernet("supernet201", "dataset", "recipe", "seed"),
        keys=_keys(
            "measures", "measured", "noises", "architectures", "hessian",
            prefix="nasbench201.settings.", recipe=RECIPE201, data="data.{dataset}",
        ),
        forecast="pipeline.forecast.scoring:NASBENCH201",
        measures=lambda params, axes: {*params.nasbench201.required.measured, "flatness"},
        flow="laboratory", hours=7 * DAY, reported=False,
    ),
    Stage(
        "laboratory", "pipeline.nasbench201.laboratory.stage", "Laboratory", ("dataset", "recipe"),
        rows=_judged,
        reads=lambda params, axes: [("nasbench201", row) for row in params.nasbench201.runs],
        keys=_keys("nasbench201"),
        forecast="pipeline.forecast.light:LABORATORY",
        measures=lambda params, axes: {*params.nasbench201.required.measured, "flatness"},
        flow="laboratory", reported=False, pictures=("judgement",),
    ),
    Stage(
        "laboratory_report", "pipeline.report.laboratory", "Pages of the laboratory", ("dataset", "recipe"),
        rows=_judged,
        reads=lambda params, axes: [("laboratory", f"{axes['dataset']}-{axes['recipe']}")],
        forecast="pipeline.forecast.light:PICTURES",
        flow="laboratory", reported=False,
    ),
    Stage(
        "zoo", "pipeline.zoo", "Published cells", ("row",),
        rows=_matrix("zoo"),
        reads=lambda params, axes: [],
        forecast="pipeline.forecast.light:TABLES",
        leaves_cell=True, pictures=("cell",),
    ),
    Stage(
        "retrain", "pipeline.retrain.stage", "Retraining", ("row",),
        rows=lambda params: {row: {"row": row} for row in params.rows},
        reads=_cell,
        keys=_recipe,
        forecast="pipeline.forecast.networks:RETRAIN",
        flow="retrain", hours=30 * DAY, processes=True, pictures=("curves",),
        judges=("params", "macs", "top1", "best_top1", "top5"),
    ),
    Stage(
        "shift", "pipeline.transfer.shift", "Distribution shift", ("row",),
        rows=_matrix("shift"),
        reads=_retrained(lambda params: params.shift.dataset, lambda params: params.retrain.dataset),
        keys=lambda params, axes: {"shift": "shift", "validation": "retrain.dataset", "row": f"rows.{axes['row']}"},
        forecast="pipeline.forecast.networks:SHIFT",
        flow="shift", hours=DAY,
        judges=("v2_top1", "a_top1", "o_aupr", "r_top1", "real_top1"),
    ),
    Stage(
        "curvature", "pipeline.transfer.curvature", "Curvature of retrained networks", ("row",),
        rows=_matrix("curvature"),
        reads=_retrained(lambda params: params.retrain.dataset),
        keys=_keys("curvature", validation="retrain.dataset", row="rows.{row}"),
        forecast="pipeline.forecast.networks:CURVATURE",
        measures=lambda params, axes: ["flatness"], hours=DAY, pictures=("curvature",),
    ),
    Stage(
        "detect", "pipeline.transfer.detect.stage", "Detectors", ("row",),
        rows=_matrix("detect"),
        reads=_retrained(lambda params: params.detect.dataset),
        keys=_keys("detect", row="rows.{row}"),
        forecast="pipeline.forecast.transfer:DETECT",
        flow="detect", hours=14 * DAY, processes=True, pictures=("boxes",),
        judges=("ap",), task=("ap", "ap50", "ap75", "params", "macs"),
    ),
    Stage(
        "segment", "pipeline.transfer.segment.stage", "Segmenters", ("row",),
        rows=_matrix("segment"),
        reads=_retrained(lambda params: params.segment.dataset),
        keys=_keys("segment", row="rows.{row}"),
        forecast="pipeline.forecast.transfer:SEGMENT",
        flow="segment", hours=14 * DAY, processes=True, pictures=("masks",),
        judges=("miou",), task=("miou", "macc", "aacc", "params", "macs"),
    ),
    Stage(
        "report", "pipeline.report.stage", "Report", (),
        rows=_single,
        reads=_everything_reported,
        keys=_keys("profile", "matrix", "rows"),
        forecast="pipeline.forecast.light:PICTURES",
        reported=False,
    ),
)  # fmt: skip
STAGES: dict[str, Stage] = {stage.name: stage for stage in _STAGES}
"""Every stage by its name, in the order of the chain."""


def rows_of(params: Params, stage: str) -> list[str]:
    """The names of a stage's rows in a profile."""
    return list(STAGES[stage].rows(params))


def folder_of(key: Key) -> str:
    """Where a row leaves its files, relative to the profile's folder."""
    stage, row = key
    return f"out/{stage}/{row}".removesuffix("/")

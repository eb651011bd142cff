"""The table of stages: what each is called, which rows it has, what a row reads and which parameters it depends on.

Whatever enumerates stages reads this table. DVC's graph says the same in its own words, and a test holds the two
together for every profile. A new stage is an entry here, a block in ``dvc.yaml`` and a module with ``run(context)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from genas.pipeline.config import Params
from genas.pipeline.stages.rows import (
    cell,
    keys,
    laboratory,
    looked_into,
    matrix,
    origin,
    recipe,
    rerated,
    retrained,
    single,
)
from genas.pipeline.stages.stage import Axes, Key, Stage

DAY = 24.0
RECIPE201 = "nasbench201.settings.recipes.{recipe}"


def _readings(params: Params, axes: Axes) -> Iterable[Key]:
    stages = ("nasbench201", "snapshots201", "space201")
    return [(stage, row) for stage in stages for row in STAGES[stage].rows(params)]


def _judged301(params: Params) -> Mapping[str, Axes]:
    return {axes["dataset"]: {"dataset": axes["dataset"]} for axes in params.matrix.nasbench301.rows().values()}


def _everything_reported(params: Params, axes: Axes) -> Iterable[Key]:
    reported = [(name, row) for name, stage in STAGES.items() if stage.reported for row in stage.rows(params)]
    return [("measures", ""), *reported]  # which makes the folders of stages without rows


READ = ("measures", "measured", "noises", "architectures", "hessian")
"""What decides what is measured in a supernet, of the settings of a laboratory."""
READ201 = keys(*READ, prefix="nasbench201.settings.", recipe=RECIPE201, data="data.{dataset}")
BRIEF201 = keys(
    "measures", "brief", "architectures", prefix="nasbench201.settings.", recipe=RECIPE201, data="data.{dataset}"
)
SPACE201 = keys("measures", "brief", prefix="nasbench201.settings.", recipe=RECIPE201, data="data.{dataset}")

SEARCH = Stage(
    "search",
    "genas.pipeline.search.stage",
    "Searches",
    ("dataset", "metric", "seed"),
    rows=matrix("search"),
    reads=looked_into("supernet", "dataset", "seed"),
    keys=keys(
        "measures",
        supernet="supernet.{dataset}",
        search="search.{dataset}",
        data="data.{dataset}",
        metric="metrics.{metric}",
    ),
    forecast="genas.pipeline.forecast.scoring:SEARCH",
    measures=lambda params, axes: params.metrics[axes["metric"]].terms,
    flow="search",
    hours=7 * DAY,
    leaves_cell=True,
    pictures=("evolution", "cell"),
)

_STAGES = (
    Stage(
        "data", "genas.pipeline.data.stage", "Data", ("dataset",),
        rows=lambda params: {name: {"dataset": name} for name in params.data},
        reads=origin,
        keys=keys(data="data.{dataset}"),
        forecast="genas.pipeline.forecast.light:SCANS",
        hours=DAY / 2, scan=True,
    ),
    Stage(
        "measures", "genas.pipeline.scoring.code", "Code of the measures", (),
        rows=single,
        reads=lambda params, axes: [],
        keys=keys("metrics"),
        forecast="genas.pipeline.forecast.light:SCANS",
        scan=True, reported=False,
    ),
    Stage(
        "supernet", "genas.pipeline.supernet.stage", "Supernets", ("dataset", "seed"),
        rows=matrix("supernet"),
        reads=lambda params, axes: [("data", axes["dataset"])],
        keys=keys("measures", supernet="supernet.{dataset}", data="data.{dataset}"),
        forecast="genas.pipeline.forecast.supernets:SUPERNET",
        flow="supernet", hours=14 * DAY, processes=True, pictures=("curves",),
    ),
    SEARCH,
    replace(
        SEARCH,
        name="reseed", title="Searches with seeds apart", axes=("dataset", "metric", "supernet", "noise", "seed"),
        rows=matrix("reseed"),
        reads=looked_into("supernet", "dataset", "supernet"),
    ),
    Stage(
        "rerank", "genas.pipeline.analysis.rerank", "Searches rated with another gamma", ("search", "gamma"),
        rows=matrix("rerank"),
        reads=lambda params, axes: [("search", axes["search"])],
        keys=rerated,
        forecast="genas.pipeline.forecast.light:TABLES",
        measures=lambda params, axes: params.metric_of(axes["search"]).terms,
        flow="search", leaves_cell=True, pictures=("cell",),
    ),
    Stage(
        "agreement", "genas.pipeline.analysis.agreement", "Agreement of the measures", ("dataset", "seed"),
        rows=matrix("agreement"),
        reads=looked_into("supernet", "dataset", "seed"),
        keys=keys("measures", "agreement", supernet="supernet.{dataset}", data="data.{dataset}"),
        forecast="genas.pipeline.forecast.scoring:AGREEMENT",
        measures=lambda params, axes: {*params.agreement.measures, "flatness"},
        flow="search", pictures=("ranks",),
    ),
    Stage(
        "replica", "genas.pipeline.analysis.replica", "Replicas of a supernet", ("dataset", "split", "seed"),
        rows=matrix("replica"),
        reads=lambda params, axes: [("data", axes["dataset"])],
        keys=keys("measures", "replica", supernet="supernet.{dataset}", data="data.{dataset}"),
        forecast="genas.pipeline.forecast.scoring:REPLICA",
        measures=lambda params, axes: params.replica.measures,
        flow="search", hours=14 * DAY, processes=True, pictures=("curves",),
    ),
    Stage(
        "supernet201", "genas.pipeline.nasbench201.supernet", "Supernets of NAS-Bench-201",
        ("dataset", "recipe", "seed"),
        rows=laboratory("runs", "dataset", "recipe", "seed"),
        reads=lambda params, axes: [("data", axes["dataset"])],
        keys=keys("measures", prefix="nasbench201.settings.", recipe=RECIPE201, data="data.{dataset}"),
        forecast="genas.pipeline.forecast.supernets:SUPERNET",
        flow="laboratory", hours=14 * DAY, processes=True, reported=False, pictures=("curves",),
    ),
    Stage(
        "nasbench201", "genas.pipeline.nasbench201.measuring", "Readings of NAS-Bench-201",
        ("dataset", "recipe", "seed"),
        rows=laboratory("runs", "dataset", "recipe", "seed"),
        reads=looked_into("supernet201", "dataset", "recipe", "seed"),
        keys=READ201,
        forecast="genas.pipeline.forecast.scoring:READINGS",
        measures=lambda params, axes: {*params.nasbench201.required.measured, "flatness"},
        flow="laboratory", hours=7 * DAY, reported=False,
    ),
    Stage(
        "snapshots201", "genas.pipeline.nasbench201.measuring", "Readings on the way of training",
        ("dataset", "recipe", "seed", "epoch"),
        rows=laboratory("snapshots", "dataset", "recipe", "seed", "epoch"),
        reads=looked_into("supernet201", "dataset", "recipe", "seed"),
        keys=BRIEF201,
        forecast="genas.pipeline.forecast.scoring:READINGS",
        measures=lambda params, axes: {*params.nasbench201.required.brief, "flatness"},
        flow="laboratory", hours=7 * DAY, reported=False,
    ),
    Stage(
        "space201", "genas.pipeline.nasbench201.measuring", "Readings of all of NAS-Bench-201",
        ("dataset", "recipe", "seed"),
        rows=laboratory("spaces", "dataset", "recipe", "seed"),
        reads=looked_into("supernet201", "dataset", "recipe", "seed"),
        keys=SPACE201,
        forecast="genas.pipeline.forecast.scoring:READINGS",
        measures=lambda params, axes: {*params.nasbench201.required.brief, "flatness"},
        flow="laboratory", hours=14 * DAY, reported=False,
    ),
    Stage(
        "nasbench301", "genas.pipeline.nasbench301.measuring", "Readings of NAS-Bench-301", ("dataset", "seed"),
        rows=matrix("nasbench301"),
        reads=looked_into("supernet", "dataset", "seed"),
        keys=keys(
            *READ, "table", prefix="nasbench301.settings.", supernet="supernet.{dataset}", data="data.{dataset}"
        ),
        forecast="genas.pipeline.forecast.scoring:READINGS",
        measures=lambda params, axes: {*params.nasbench301.required.measured, "flatness"},
        flow="laboratory", hours=7 * DAY, reported=False,
    ),
    Stage(
        "laboratory", "genas.pipeline.laboratory.stage", "Laboratory", ("dataset", "recipe"),
        rows=laboratory("laboratory", "dataset", "recipe"),
        reads=_readings,
        keys=keys("nasbench201"),
        forecast="genas.pipeline.forecast.light:LABORATORY",
        measures=lambda params, axes: {*params.nasbench201.required.measured, "flatness"},
        flow="laboratory", pictures=("judgement",),
    ),
    Stage(
        "laboratory_report", "genas.pipeline.report.laboratory", "Pages of the laboratory", ("dataset", "recipe"),
        rows=laboratory("laboratory", "dataset", "recipe"),
        reads=lambda params, axes: [("laboratory", f"{axes['dataset']}-{axes['recipe']}")],
        forecast="genas.pipeline.forecast.light:PICTURES",
        flow="laboratory",
    ),
    Stage(
        "laboratory301", "genas.pipeline.nasbench301.judging", "Laboratory of the DARTS space", ("dataset",),
        rows=_judged301,
        reads=lambda params, axes: [
            ("nasbench301", row)
            for row, own in matrix("nasbench301")(params).items()
            if own["dataset"] == axes["dataset"]
        ],
        keys=keys("matrix.nasbench301", "nasbench301"),
        forecast="genas.pipeline.forecast.light:LABORATORY301",
        measures=lambda params, axes: ["flatness"],
        flow="laboratory", pictures=("judgement",),
    ),
    Stage(
        "laboratory301_report", "genas.pipeline.report.laboratory", "Pages of the DARTS space", ("dataset",),
        rows=_judged301,
        reads=lambda params, axes: [("laboratory301", axes["dataset"])],
        forecast="genas.pipeline.forecast.light:PICTURES",
        flow="laboratory",
    ),
    Stage(
        "zoo", "genas.pipeline.zoo", "Published cells", ("row",),
        rows=matrix("zoo"),
        reads=lambda params, axes: [],
        forecast="genas.pipeline.forecast.light:TABLES",
        leaves_cell=True, pictures=("cell",),
    ),
    Stage(
        "retrain", "genas.pipeline.retrain.stage", "Retraining", ("row",),
        rows=lambda params: {row: {"row": row} for row in params.rows},
        reads=cell,
        keys=recipe,
        forecast="genas.pipeline.forecast.networks:RETRAIN",
        flow="retrain", hours=30 * DAY, processes=True, pictures=("curves",),
        judges=("params", "macs", "top1", "best_top1", "top5"),
    ),
    Stage(
        "shift", "genas.pipeline.transfer.shift", "Distribution shift", ("row",),
        rows=matrix("shift"),
        reads=retrained(lambda params: params.shift.dataset, lambda params: params.shift.trained_on),
        keys=keys("shift", row="rows.{row}"),
        forecast="genas.pipeline.forecast.networks:SHIFT",
        flow="shift", hours=DAY,
        judges=("v2_top1", "a_top1", "o_aupr", "r_top1", "real_top1"),
    ),
    Stage(
        "curvature", "genas.pipeline.transfer.curvature", "Curvature of retrained networks", ("row",),
        rows=matrix("curvature"),
        reads=retrained(lambda params: params.curvature.trained_on),
        keys=keys("curvature", row="rows.{row}"),
        forecast="genas.pipeline.forecast.networks:CURVATURE",
        measures=lambda params, axes: ["flatness"], hours=DAY, pictures=("curvature",),
    ),
    Stage(
        "detect", "genas.pipeline.transfer.detect.stage", "Detectors", ("row",),
        rows=matrix("detect"),
        reads=retrained(lambda params: params.detect.dataset),
        keys=keys("detect", row="rows.{row}"),
        forecast="genas.pipeline.forecast.transfer:DETECT",
        flow="detect", hours=14 * DAY, processes=True, pictures=("boxes",),
        judges=("ap",), task=("ap", "ap50", "ap75", "params", "macs"),
    ),
    Stage(
        "segment", "genas.pipeline.transfer.segment.stage", "Segmenters", ("row",),
        rows=matrix("segment"),
        reads=retrained(lambda params: params.segment.dataset),
        keys=keys("segment", row="rows.{row}"),
        forecast="genas.pipeline.forecast.transfer:SEGMENT",
        flow="segment", hours=14 * DAY, processes=True, pictures=("masks",),
        judges=("miou",), task=("miou", "macc", "aacc", "params", "macs"),
    ),
    Stage(
        "report", "genas.pipeline.report.stage", "Report", (),
        rows=single,
        reads=_everything_reported,
        keys=keys("profile", "matrix", "rows"),
        forecast="genas.pipeline.forecast.light:PICTURES",
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

"""What MLflow's pages show of a profile unasked: descriptions, and saved views with their columns, order and charts.

A saved view is a tag of an experiment that holds the state of the page, as MLflow's own button "Save view" writes it
(``mlflow.sharedViewState.<key>``); the menu "Views" of the experiment lists it, and a link may name its key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genas.pipeline.config import Params
from genas.pipeline.results.board import COST, HEADINGS
from genas.pipeline.stages import STAGES

VIEW = "mlflow.sharedViewState."
"""Prefix of the tags that hold views."""
WIDTH = 150
"""Pixels of a column: room for the name of a metric."""


@dataclass(frozen=True)
class View:
    """A saved view of an experiment's runs.

    Attributes:
        key: names it in links.
        title: in the menu.
        only: MLflow's filter of the runs.
        order: the metric by which they are sorted, the largest first.
        columns: metrics (their names have a slash) and parameters (none has), in their order.
        charts: metrics: a bar a run, or a line where the name is one of a curve.
        scatter: pairs of metrics that are drawn against each other.
    """

    key: str
    title: str
    only: str
    order: str
    columns: Sequence[str]
    charts: Sequence[str]
    scatter: Sequence[tuple[str, str]] = ()

    def tag(self) -> str:
        """The value of its tag."""
        charts = [self._chart(name) for name in self.charts] + [self._cloud(*pair) for pair in self.scatter]
        section = {"uuid": self.key, "name": self.title, "display": True, "isReordered": True}
        columns = [_column(name) for name in self.columns]
        state = {
            "searchFilter": self.only,
            "orderByKey": _column(self.order),
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": columns,
            "columnOrder": columns,
            "columnWidths": {_column(name): WIDTH for name in self.columns},
            "runsHiddenMode": "FIRST_20_RUNS",
            "compareRunCharts": [{**chart, "uuid": f"{self.key}-{i}"} for i, chart in enumerate(charts)],
            "compareRunSections": [{**section, "deleted": False, "isGenerated": False}],
            "isAccordionReordered": True,
            "hideEmptyCharts": True,
        }
        return json.dumps({"name": self.title, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})

    def _card(self, kind: str) -> dict[str, Any]:
        shown = {"metricSectionId": self.key, "deleted": False, "isGenerated": False}
        return {"type": kind, "runsCountToCompare": 20, **shown}

    def _chart(self, metric: str) -> dict[str, Any]:
        if "_curves/" not in metric:
            return {**self._card("BAR"), "metricKey": metric, "displayName": _title(metric)}
        line = {"metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step", "yAxisKey": "metric"}
        axes = {"scaleType": "linear", "xAxisScaleType": "linear", "range": {}, "yAxisExpressions": []}
        smooth = {"lineSmoothness": 0, "useGlobalLineSmoothing": False, "useGlobalXaxisKey": False}
        return {**self._card("LINE"), **line, **axes, **smooth, "selectedXAxisMetricKey": "", "ignoreOutliers": False}

    def _cloud(self, x: str, y: str) -> dict[str, Any]:
        axes = {"xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}
        return {**self._card("SCATTER"), **axes}


def _column(name: str) -> str:
    return f"{'metrics' if '/' in name else 'params'}.`{name}`"


def _title(metric: str) -> str:
    stage, _, name = metric.partition("/")
    return f"{HEADINGS.get(name, name.replace('_', ' '))} ({stage})"


_JUDGED = [(stage.name, name) for stage in STAGES.values() for name in stage.judges if "best" not in name]
JUDGED = [f"{stage}/{name}" for stage, name in sorted(_JUDGED, key=lambda judged: judged[1] in COST)]
"""What a leaderboard shows, as the runs call it, the costs at the end: ``retrain/top1``, ``shift/v2_top1``."""
_TOP1, _SCORE, _FOUND = "retrain/top1", "search/score_normalised", "search/retrained_top1"

ROWS = (
    View(
        "searches",
        "Compare the searches",
        "tags.stage = 'search'",
        _FOUND,
        ["dataset", "metric", "seed", _FOUND, _SCORE, "search/params", "search/macs", "search/seconds"],
        [_FOUND, "search_curves/best_normalised", _SCORE, "search/params"],
        [(_SCORE, _FOUND)],
    ),
    View(
        "networks",
        "Retrained networks",
        "tags.stage = 'retrain'",
        _TOP1,
        [
            "row.cell",
            "row.dataset",
            "row.recipe",
            _TOP1,
            "retrain/top5",
            "retrain/params",
            "retrain/macs",
            "retrain/seconds",
        ],
        [_TOP1, "retrain_curves/top1", "retrain_curves/train_loss", "retrain/params"],
        [("retrain/params", _TOP1)],
    ),
    View(
        "supernets",
        "Supernets",
        "tags.stage LIKE 'supernet%'",
        "supernet/top1",
        ["dataset", "seed", "supernet/top1", "supernet/loss", "supernet/seconds"],
        ["supernet_curves/train_loss", "supernet_curves/top1", "supernet/top1"],
    ),
)
"""Of the experiment of all rows."""
LEADERBOARD = (
    View(
        "leaderboard",
        "Leaderboard",
        "",
        _TOP1,
        ["cell", "dataset", "recipe", *JUDGED, "seeds/top1", "seeds/top1_deviation", "seeds/top1_n"],
        JUDGED,
        [("retrain/params", _TOP1), (_SCORE, _TOP1)],
    ),
)
"""Of the leaderboard."""


@dataclass(frozen=True)
class Page:
    """An experiment: its name, and the tags that say what its pages show."""

    name: str
    tags: dict[str, str]


def rows_of(params: Params) -> Page:
    """The experiment with one run a row."""
    about = (
        f"Every row of the profile `{params.profile}`, one run each. The menu **Views** compares searches, retrained "
        f"networks and supernets; `genas-{params.profile}-leaderboard` holds one line a network. Made from the files "
        f"under `out/` alone: `genas track rebuild` makes it again."
    )
    return _page(f"genas-{params.profile}", about, _FOUND, ROWS)


def leaderboard_of(params: Params) -> Page:
    """The experiment with one run a retrained network."""
    about = (
        f"One line for each retrained network of the profile `{params.profile}`, with all that judges it: its search, "
        "retraining, distribution shift, detection, segmentation. Metrics are called as in the runs of the rows; "
        "seeds/top1 is the mean over the rows that differ from it in seeds alone, beside it their standard deviation "
        "and number."
    )
    return _page(f"genas-{params.profile}-leaderboard", about, _TOP1, LEADERBOARD)


def titles(tags: Mapping[str, str]) -> dict[str, str]:
    """The titles of an experiment's saved views by their keys."""
    return {tag.removeprefix(VIEW): json.loads(value)["name"] for tag, value in tags.items() if tag.startswith(VIEW)}


def _page(name: str, about: str, metric: str, views: Sequence[View]) -> Page:
    tags = {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": about,
        "mlflow.experiment.primaryMetric.name": metric,
        "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    }
    return Page(name, tags | {VIEW + view.key: view.tag() for view in views})

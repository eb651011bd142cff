"""What is made of finished rows: the leaderboard of retrained networks, and all runs anew."""

from __future__ import annotations

import math
from pathlib import Path

from genas.models.errors import GenasError
from genas.pipeline.config import Params, load_params
from genas.pipeline.machine.addresses import masked
from genas.pipeline.results import board as results
from genas.pipeline.results import records
from genas.pipeline.results.seeds import repeated, spreads
from genas.pipeline.tracking import views
from genas.pipeline.tracking.mlflow import Experiment, connected, uri
from genas.pipeline.tracking.registry import forget, register


def leaderboard(root: Path) -> int:
    """Bring the leaderboard and the registry in line with ``out/``, and tell each search how its network did; returns
    how many networks there are."""
    params = load_params(root)
    experiment = Experiment(views.leaderboard_of(params))
    board = results.leaderboard(params, root)
    wanted = {row: results.entry(params, root, row) for row in board}
    for row, over_seeds in _over_seeds(params, board).items():
        wanted[row].metrics.update(over_seeds)
    for run in experiment.runs():
        data = run.entity.data
        same = wanted.get(run.entity.info.run_name)
        if (
            same
            and (data.metrics, data.params) == (same.metrics, same.settings)
            and same.tags.items() <= data.tags.items()
        ):
            del wanted[same.name]
        else:
            experiment.client.delete_run(run.id)
    for record in wanted.values():
        run = experiment.start(record)
        run.complete(record)
        run.end("FINISHED")
    rows = Experiment(views.rows_of(params))
    _tell_searches(rows, params, board)
    register(rows, params, board)
    return len(board)


def _over_seeds(params: Params, board: results.Board) -> dict[str, dict[str, float]]:
    """For each of the rows that differ in seeds alone, of what judges them: ``seeds/top1`` (the mean),
    ``seeds/top1_deviation`` (of a sample, n - 1), ``seeds/top1_n``."""
    found: dict[str, dict[str, float]] = {}
    groups = repeated(params, board)
    for first, own in spreads(params, board).items():
        told: dict[str, float] = {}
        for name, one in own.items():
            if name in results.COLUMNS and name not in results.COST:
                values = {"": one.mean, "_deviation": one.deviation, "_n": float(one.seeds)}
                told |= {f"seeds/{name}{end}": value for end, value in values.items()}
        found |= dict.fromkeys(groups[first], told)
    return found


def _tell_searches(rows: Experiment, params: Params, board: results.Board) -> None:
    """Give each search's newest finished run the best top-1 that its cell reached when retrained, on the data set that
    most networks were trained on."""
    reached: dict[str, float] = {}
    for row, metrics in next(iter(results.by_dataset(params, board).values()), {}).items():
        stage, _, cell = params.rows[row].cell.partition("/")
        if stage == "search" and "top1" in metrics:
            reached[cell] = max(metrics["top1"], reached.get(cell, -math.inf))
    for run in rows.runs("tags.stage = 'search' and attributes.status = 'FINISHED'"):
        name = "search/retrained_top1"
        top1 = reached.pop(run.entity.data.tags["row"], None)
        if top1 is not None and run.entity.data.metrics.get(name) != top1:
            run.log({name: {0: top1}})


def rebuild(root: Path) -> int:
    """Make a profile's experiments again from ``params.yaml`` and ``out/``; returns how many rows have a run.

    Former runs of the profile go to MLflow's bin (``mlflow gc`` empties it). Twice is as good as once.

    Raises:
        GenasError: ``params.yaml`` or what a row left is wrong, or MLflow cannot be written to.
    """
    params = load_params(root)
    keys = records.finished(params, root)
    try:
        experiment = Experiment(views.rows_of(params))
        forget(experiment, params)
        for run in experiment.runs():
            experiment.client.delete_run(run.id)
        for key in keys:
            seconds = float(records.timing(root, key).get("seconds", 0.0))
            with records.sound(root, key):
                record = records.head(params, root, key)
            run = experiment.start(record, seconds)
            run.finish(params, root, key)
            run.end("FINISHED")
            run.marked(root)
        leaderboard(root)
    except GenasError:
        raise
    except Exception as error:
        raise GenasError(f"MLflow at {masked(uri())}: {' '.join(masked(error).split())[:300]}") from error
    return len(keys)


def links(address: str) -> dict[str, str]:
    """Where MLflow's pages at ``address`` show what most look for, by what it is: saved views, reports, the registry.

    Raises:
        GenasError: MLflow cannot be read.
    """
    mode, found = "workflowType=machine_learning", {}
    try:
        client = connected()
        for experiment in client.search_experiments(filter_string="name LIKE 'genas-%'"):
            place = f"{address}/#/experiments/{experiment.experiment_id}/runs"
            for key, title in views.titles(experiment.tags).items():
                view = f"viewStateShareKey={key}&compareRunsMode=CHART&{mode}"
                found[f"{experiment.name}: {title.lower()}"] = f"{place}?{view}"
            reports = "tags.stage = 'report' AND attributes.status = 'FINISHED'"
            for run in client.search_runs([experiment.experiment_id], reports, max_results=1):
                found[f"{experiment.name}: report"] = f"{place}/{run.info.run_id}/artifacts/report.html?{mode}"
    except Exception as error:
        raise GenasError(f"MLflow at {masked(uri())}: {' '.join(masked(error).split())[:300]}") from error
    return found | {"registered models": f"{address}/#/models"} if found else {}

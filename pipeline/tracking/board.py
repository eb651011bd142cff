"""What is made of finished rows: the leaderboard of retrained networks, and all runs anew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from models.errors import GenasError
from pipeline.config import Params, load_params
from pipeline.machine.addresses import masked
from pipeline.results import board as results
from pipeline.results import records
from pipeline.tracking.mlflow import Experiment, uri


def leaderboard(root: Path) -> int:
    """Bring the leaderboard in line with ``out/``, and tell each search how its network did; returns its length."""
    params = load_params(root)
    experiment = Experiment(f"genas-{params.profile}-leaderboard")
    board = results.leaderboard(params, root)
    wanted = {row: records.entry(params, root, row, metrics) for row, metrics in board.items()}
    for run in experiment.runs():
        data = run.entity.data
        same = wanted.get(run.entity.info.run_name)
        if same and (data.metrics, data.params, data.tags.get("fingerprint")) == (
            same.metrics,
            same.settings,
            same.tags["fingerprint"],
        ):
            del wanted[same.name]
        else:
            experiment.client.delete_run(run.id)
    for record in wanted.values():
        run = experiment.start(record)
        run.complete(record)
        run.end("FINISHED")
    _tell_searches(params, board)
    return len(board)


def _tell_searches(params: Params, board: Mapping[str, Mapping[str, float]]) -> None:
    """Give each search's newest finished run the best top-1 that its cell reached when retrained."""
    reached: dict[str, float] = {}
    for row, metrics in board.items():
        stage, _, cell = params.rows[row].cell.partition("/")
        if stage == "search" and "top1" in metrics:
            reached[cell] = max(metrics["top1"], reached.get(cell, -math.inf))
    for run in Experiment(f"genas-{params.profile}").runs("tags.stage = 'search' and attributes.status = 'FINISHED'"):
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
        experiment = Experiment(f"genas-{params.profile}")
        for run in experiment.runs():
            experiment.client.delete_run(run.id)
        for key in keys:
            seconds = float(records.timing(root, key).get("seconds", 0.0))
            with records.sound(root, key):
                record = records.head(params, root, key)
            run = experiment.start(record, seconds)
            run.finish(params, root, key)
            run.end("FINISHED")
        leaderboard(root)
    except GenasError:
        raise
    except Exception as error:
        raise GenasError(f"MLflow at {masked(uri())}: {' '.join(masked(error).split())[:300]}") from error
    return len(keys)

"""The registered models of a profile: one for each cell that was retrained, a version for each of its networks."""

from __future__ import annotations

import json
import math
from typing import Any

from genas.pipeline.config import Params
from genas.pipeline.results.board import Board, by_dataset, number
from genas.pipeline.tracking.mlflow import Experiment

BEST = "best"
"""The alias of a cell's version with the highest top-1 on the data set that most of the profile's networks were trained
on; on another one ``best-DATASET``."""


def registered_name(params: Params, cell: str) -> str:
    """What the registry calls a cell: ``genas-demo-search-digits-flatness-0``."""
    return f"genas-{params.profile}-{cell.replace('/', '-')}"


def register(experiment: Experiment, params: Params, board: Board) -> None:
    """Give every logged model of a retrained row a version, and each cell's best on a data set its alias.

    Args:
        experiment: of the profile's rows.
        params: the profile's parameters.
        board: the metrics of every retrained row.
    """
    logged = {model.tags["row"]: model for model in reversed(experiment.models())}  # the newest of each row
    cells: dict[str, list[str]] = {}
    for row in board:
        if row in logged:
            cells.setdefault(params.rows[row].cell, []).append(row)
    aliases = {name: f"{BEST}-{name}" if place else BEST for place, name in enumerate(by_dataset(params, board))}
    for cell, rows in cells.items():
        name = registered_name(params, cell)
        known = _versions(experiment, params, name, cell)
        versions = {row: known.get(logged[row].model_id) or _add(experiment, name, logged[row]) for row in rows}
        for dataset, networks in by_dataset(params, {row: board[row] for row in rows}).items():
            best = max(networks, key=lambda row: board[row].get("top1", -math.inf))
            experiment.client.set_registered_model_alias(name, aliases[dataset], versions[best])


def forget(experiment: Experiment, params: Params) -> None:
    """Remove the profile's registered and logged models."""
    for model in experiment.client.search_registered_models(f"tags.profile = '{params.profile}'"):
        experiment.client.delete_registered_model(model.name)
    for model in experiment.models():
        experiment.client.delete_logged_model(model.model_id)


def _versions(experiment: Experiment, params: Params, name: str, cell: str) -> dict[str, str]:
    """The versions of a registered model by logged model; it is made where it does not exist."""
    client = experiment.client
    if not client.search_registered_models(f"name = '{name}'"):
        about = f"Networks of the cell `{cell}` of the profile `{params.profile}`; `@{BEST}` has the highest top-1."
        client.create_registered_model(name, {"profile": params.profile, "cell": cell}, about)
    found = client.search_model_versions(f"name = '{name}'")
    return {version.tags["model"]: version.version for version in found}


def _add(experiment: Experiment, name: str, model: Any) -> str:
    tags = {tag: model.tags[tag] for tag in ("row", "fingerprint", "dvc.md5", "dvc.path")}
    tags["model"] = model.model_id  # MLflow's own field comes back empty from its SQL store
    top1 = {metric.key: metric.value for metric in model.metrics or ()}.get("retrain/top1")
    about = f"Row `{tags['row']}`, top-1 {number(top1, 'top1')}; weights `{tags['dvc.path']}`, MD5 `{tags['dvc.md5']}`."
    # The place itself, not models:/ID, which MLflow would look up in whatever database the process has by default.
    version = experiment.client.create_model_version(
        name, model.artifact_location, model.source_run_id, tags, description=about, model_id=model.model_id
    )
    told = json.dumps([{"name": name, "version": version.version}])  # by which the page of a logged model finds it
    experiment.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": told})
    return str(version.version)

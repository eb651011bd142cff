"""The ``measures`` stage: which measures each row takes, how it weighs them, and which code they run.

A search must run again when a measure that it takes is written anew, and must not when another measure is. DVC has no
dependencies that follow from a parameter, so this stage looks at the code, as the stage ``data`` looks at the data, and
leaves for each row that takes measures a digest of each, and its metric if it has one; the row depends on that file.

A profile need not have rows of every stage, and DVC wants whatever a stage may read to be there. As the first of all
rows this one also makes the folders of those stages that have none, empty.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

from genas.pipeline.config import Params, measure_module
from genas.pipeline.context import Context
from genas.pipeline.machine.imports import closure, digest
from genas.pipeline.stages import STAGES, Axes, Stage


def code_of(name: str) -> str:
    """SHA-256 over the module of a measure and everything that it imports, as text: importing it would take seconds."""
    return digest(closure(measure_module(name), computed=False))


def metric_of(params: Params, stage: Stage, axes: Axes) -> dict[str, Any] | None:
    """The metric that a row depends on, or None."""
    key = stage.keys(params, axes).get("metric", "")
    return params.metrics[key.removeprefix("metrics.")].model_dump(mode="json") if key else None


def run(context: Context) -> None:
    """Leave ``<stage>/<row>.json`` for each row that takes measures: ``{"code": {measure: digest}, "metric": ...}``."""
    for stage in STAGES.values():
        if not stage.rows(context.params):
            context.output_of(stage.name, "").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(context.out / stage.name, ignore_errors=True)
        for row, axes in stage.rows(context.params).items():
            names = sorted(stage.measures(context.params, axes))
            if names:
                path = context.out / stage.name / f"{row}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                content = {
                    "code": {name: code_of(name) for name in names},
                    "metric": metric_of(context.params, stage, axes),
                }
                path.write_text(json.dumps(content, indent=1) + "\n")

"""The ``measures`` stage: which code the measures of each row run.

A search must run again when a measure that it takes is written anew, and must not when another measure is. DVC has no
dependencies that depend on a parameter, so this stage looks at the code, as the stage ``data`` looks at the data, and
leaves for each row that takes measures a digest of each; the row depends on that file.

A profile need not have rows of every stage, and DVC wants whatever a stage may read to be there. As the first of all
rows this one also makes the folders of those stages that the report reads and that have none, empty.
"""

from __future__ import annotations

import json
import shutil

from pipeline import measures
from pipeline.context import Context
from pipeline.machine.imports import closure, digest
from pipeline.stages import STAGES


def code_of(name: str) -> str:
    """SHA-256 over the module of a measure and everything that it imports."""
    return digest(closure(f"{measures.__name__}.{name}", computed=False))


def run(context: Context) -> None:
    """Leave ``<stage>/<row>.json`` for each row that takes measures: ``{measure: digest}``."""
    for stage in STAGES.values():
        if stage.reported and not stage.rows(context.params):
            context.output_of(stage.name, "").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(context.out / stage.name, ignore_errors=True)
        for row, axes in stage.rows(context.params).items():
            names = sorted(stage.measures(context.params, axes))
            if names:
                path = context.out / stage.name / f"{row}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({name: code_of(name) for name in names}, indent=1) + "\n")

"""Where each number comes from: a part of the page for each row, with its parameters, its metrics, what it read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from genas.pipeline.config import Params
from genas.pipeline.report.page import folded, link
from genas.pipeline.results import records
from genas.pipeline.stages import STAGES, Key, folder_of
from genas.pipeline.stages.graph import Node, graph, settings

ABOUT = (
    "One part for each row that has run. No commit is named: these pages hold what follows from parameters and outputs "
    "alone, and the same outputs come from many commits. `dvc.lock` records which code, parameters and inputs made "
    "them, and the `git log` of a row finds the commit that recorded it."
)


def linked(root: Path, key: Key, text: str = "") -> str:
    """The name of a row, or ``text``, as a link to its part of the page; plain where it has not run."""
    shown = text or key[1]
    ran = (root / folder_of(key) / "metrics.json").exists()
    return link(records.named(key), shown) if ran else shown


def rows(params: Params, root: Path) -> str:
    """The section: every row that has run, in the order of the chain."""
    nodes = graph(params)
    parts = [
        _row(params, root, nodes[key], nodes) for key in nodes if (root / folder_of(key) / "metrics.json").exists()
    ]
    return "\n\n".join(["## Rows", ABOUT, *(parts or ["No row has run yet."])])


def _row(params: Params, root: Path, node: Node, nodes: dict[Key, Node]) -> str:
    key, stage = (node.stage, node.row), STAGES[node.stage]
    path = root / folder_of(key) / "metrics.json"
    timing = records.timing(root, key)
    reads = ", ".join(linked(root, read, records.named(read)) for read in node.inputs if read[0] != "measures")
    readers = [other for other, its in nodes.items() if key in its.inputs and other[0] != "report"]
    read_by = ", ".join(linked(root, other, records.named(other)) for other in readers)
    took = [f"{timing['seconds']:.1f} s on {timing['device']}"] if timing else []
    took += [f"scored by {timing['scorer']}"] if timing.get("scorer") else []
    lines = [
        f"- {stage.title}: {', '.join(took) or 'its time is not known'}",
        f"- reads {reads or 'nothing'}; read by {read_by or 'nothing'}",
        f"- [metrics.json](../../{folder_of(key)}/metrics.json), from [params.yaml](../../params.yaml) "
        f"(fingerprint of settings and data: `{records.fingerprint(params, root, key, nodes)}`)",
        f"- `git log --oneline -S {hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()} -- dvc.lock`",
    ]
    metrics = [f"{name} = {value:.6g}" for name, value in records.metrics(root, key).items()]
    given = [f"{name}: {' '.join(value.split())}" for name, value in settings(params, key).items()]
    block = "\n".join(f"    {line}" for line in [*metrics, "", *given])
    return "\n\n".join([f"#### {records.named(key)}", "\n".join(lines), folded("Metrics and parameters", block)])

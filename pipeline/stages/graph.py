"""The graph of a profile: every row, what it reads, and the settings that it depends on.

It follows from ``params.yaml`` and the table of stages (:mod:`genas.pipeline.stages`), so that whoever tells about rows
needs no DVC. What is stale and what runs is decided by DVC's own graph, which a test holds to be this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genas.pipeline.config import MEASURES, Params
from genas.pipeline.stages.stage import Axes, Key
from genas.pipeline.stages.table import STAGES


@dataclass(frozen=True)
class Node:
    """One row: its axes and the rows that it reads."""

    stage: str
    row: str
    axes: Axes
    inputs: tuple[Key, ...]


def graph(params: Params) -> dict[Key, Node]:
    """Every row of a profile, in the order of the chain."""
    return {
        (name, row): Node(name, row, axes, tuple(stage.reads(params, axes)))
        for name, stage in STAGES.items()
        for row, axes in stage.rows(params).items()
    }


def ancestors(nodes: Mapping[Key, Node], key: Key) -> Iterator[Key]:
    """Everything that a row depends on, directly or not, each once, nearest first."""
    seen: set[Key] = set()
    waiting = list(nodes[key].inputs)
    while waiting:
        nearest = waiting.pop(0)
        if nearest not in seen:
            seen.add(nearest)
            yield nearest
            waiting += nodes[nearest].inputs


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested dicts as ``{"a.b": "1"}``; other values, lists among them, as JSON without quotes around strings."""
    if isinstance(value, Mapping):
        parts = [flatten(inner, f"{prefix}.{name}" if prefix else str(name)) for name, inner in value.items()]
        return {name: text for part in parts for name, text in part.items()}
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def settings(params: Params, key: Key) -> dict[str, str]:
    """A row's axes and the parameters that it depends on, flattened: ``{"seed": "0", "search.population": "50"}``.

    Every metric has every measure, so that searches can be compared column by column.
    """
    stage, row = key
    axes = STAGES[stage].rows(params)[row]
    content = params.model_dump(mode="json")
    sections = {name: _at(content, path) for name, path in STAGES[stage].keys(params, axes).items()}
    if "metric" in sections:
        metric = sections["metric"]
        sections["metric"] = {**metric, "terms": {**dict.fromkeys(MEASURES, 0.0), **metric["terms"]}}
    return {**axes, **flatten(sections)}


def _at(content: Any, path: str) -> Any:
    """The value under a dotted key of ``params.yaml``."""
    for part in path.split("."):
        content = content[part]
    return content

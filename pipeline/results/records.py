"""What a profile's folder knows about a row: where it stands in the graph, its settings, and what it left.

Everything here is read from ``params.yaml`` and ``out/``, so that the report and a rebuilt tracking database say the
same as what was seen live.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import MEASURES, Params

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]
"""A row of a stage: ``("search", "cifar10-flatness-0")``."""

FILES = (
    "metrics.json",
    "timing.json",
    "manifest.json",
    "genotype.json",
    "history.csv",
    "candidates.parquet",
    "scores.parquet",
    "agreement.csv",
    "errors.csv",
    "report.html",
    "page.md",
)
"""What a row may leave beside weights and examples."""


LABORATORY = ("supernet201", "nasbench201", "laboratory")
"""The stages that have a page of their own instead of a place in the report."""


@dataclass(frozen=True)
class Node:
    """One row in the graph: its axes and the rows that it reads."""

    stage: str
    row: str
    axes: Mapping[str, str]
    inputs: tuple[Key, ...]


def graph(params: Params) -> dict[Key, Node]:
    """Every row of a profile in the order of the chain; the report comes last and has the row ``""``."""
    m = params.matrix
    nodes: list[Node] = []
    inputs: tuple[Key, ...]
    for name, data in params.data.items():
        derived = data.derive if data.derive != "digits" and data.derive in params.data else None
        nodes.append(Node("data", name, {"dataset": name}, (("data", derived),) if derived else ()))
    for dataset in m.supernet.dataset:
        for seed in map(str, m.supernet.seed):
            axes = {"dataset": dataset, "seed": seed}
            nodes.append(Node("supernet", f"{dataset}-{seed}", axes, (("data", dataset),)))
    for dataset in m.search.dataset:
        for metric in m.search.metric:
            for seed in map(str, m.search.seed):
                axes = {"dataset": dataset, "metric": metric, "seed": seed}
                inputs = (("data", dataset), ("supernet", f"{dataset}-{seed}"))
                nodes.append(Node("search", "-".join(axes.values()), axes, inputs))
    for searched in m.rerank.search:
        for gamma in map(str, m.rerank.gamma):
            axes = {"search": searched, "gamma": gamma}
            nodes.append(Node("rerank", "-".join(axes.values()), axes, (("search", searched),)))
    for dataset in m.agreement.dataset:
        for seed in map(str, m.agreement.seed):
            inputs = (("data", dataset), ("supernet", f"{dataset}-{seed}"))
            nodes.append(Node("agreement", f"{dataset}-{seed}", {"dataset": dataset, "seed": seed}, inputs))
    nodes += _laboratory(params)
    nodes += [Node("zoo", row, {"row": row}, ()) for row in m.zoo.row]
    for row, settings in params.rows.items():
        stage, _, cell = settings.cell.partition("/")
        nodes.append(Node("retrain", row, {"row": row}, (("data", params.retrain.dataset), (stage, cell))))
    for stage in ("shift", "detect", "segment"):
        for row in getattr(m, stage).row:
            inputs = (("data", getattr(params, stage).dataset), ("retrain", row))
            nodes.append(Node(stage, row, {"row": row}, inputs))
    keys = {(node.stage, node.row): node for node in nodes}
    read = tuple(key for key in keys if key[0] not in LABORATORY)
    return {**keys, ("report", ""): Node("report", "", {}, read)}


def _laboratory(params: Params) -> list[Node]:
    """The rows of the NAS-Bench-201 laboratory."""
    nodes = []
    for row, run in params.nasbench201.runs.items():
        axes = {"dataset": run.dataset, "seed": str(run.seed)}
        nodes.append(Node("supernet201", row, axes, (("data", run.dataset),)))
    for row, run in params.nasbench201.runs.items():
        axes = {"dataset": run.dataset, "seed": str(run.seed)}
        nodes.append(Node("nasbench201", row, axes, (("data", run.dataset), ("supernet201", row))))
    measured = tuple(("nasbench201", row) for row in params.nasbench201.runs)
    return nodes + [Node("laboratory", one, {"dataset": one}, measured) for one in params.nasbench201.laboratory]


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested dicts as ``{"a.b": "1"}``; other values, lists among them, as JSON without quotes around strings."""
    if isinstance(value, Mapping):
        parts = [flatten(inner, f"{prefix}.{name}" if prefix else str(name)) for name, inner in value.items()]
        return {name: text for part in parts for name, text in part.items()}
    return {prefix: value if isinstance(value, str) else json.dumps(value)}


def settings(params: Params, node: Node) -> dict[str, str]:
    """The row's axes and the sections of ``params.yaml`` that its stage reads, flattened."""
    everything = params.model_dump(mode="json")
    sections: dict[str, Any] = {stage: everything[stage] for stage in (node.stage,) if stage in Params.model_fields}
    if node.stage == "data":
        sections = {"data": everything["data"][node.row]}
    elif node.stage == "retrain":
        sections["row"] = everything["rows"][node.row]
        sections["recipe"] = everything["recipes"][params.rows[node.row].recipe]
    elif node.stage in LABORATORY:
        sections = {"settings": everything["nasbench201"]["settings"]}
    elif node.stage == "agreement":
        sections["measures"] = everything["measures"]
    elif node.stage == "search":
        sections["measures"] = everything["measures"]
        metric = everything["metrics"][node.axes["metric"]]
        # Every search has every weight, so that searches can be compared column by column.
        sections["weight"] = {name: metric["terms"].get(name, 0.0) for name in MEASURES}
        sections |= {"combine": metric["combine"], "strategy": metric["strategy"]}
    return {**node.axes, **flatten(sections)}


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


def metrics(root: Path, key: Key) -> dict[str, float]:
    """A row's ``metrics.json``; empty where the row has not run. Values that are not finite are left out."""
    found = _json(root / "out" / key[0] / key[1] / "metrics.json")
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def timing(root: Path, key: Key) -> dict[str, Any]:
    """A row's ``timing.json``: ``seconds`` and ``device``; empty where the row has not run."""
    found: dict[str, Any] = _json(root / "out" / key[0] / key[1] / "timing.json")
    return found


def manifest(root: Path, dataset: str) -> dict[str, Any]:
    """A data set's manifest; empty where the data stage has not run."""
    found: dict[str, Any] = _json(root / "out" / "data" / dataset / "manifest.json")
    return found


def table(root: Path, key: Key, name: str) -> pd.DataFrame | None:
    """``history.csv`` or ``candidates.parquet`` of a row, or None."""
    path = root / "out" / key[0] / key[1] / name
    if not path.exists():
        return None
    import pandas as pd

    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def ancestors(nodes: Mapping[Key, Node], key: Key) -> Iterator[Key]:
    """Everything that a row depends on, directly or not, each once, nearest first."""
    seen: set[Key] = set()
    waiting = list(nodes[key].inputs)
    while waiting:
        one = waiting.pop(0)
        if one not in seen:
            seen.add(one)
            yield one
            waiting += nodes[one].inputs


def fingerprint(params: Params, root: Path, key: Key, nodes: Mapping[Key, Node]) -> str:
    """16 hexadecimal digits over a row's settings, the digests of its data, and the same of every row it reads."""
    content: list[Any] = [key, sorted(settings(params, nodes[key]).items())]
    if key[0] == "data":
        content.append(manifest(root, key[1]).get("digest"))
    content += [fingerprint(params, root, one, nodes) for one in nodes[key].inputs if key[0] != "report"]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """What a tracking run holds.

    Attributes:
        name: ``search@cifar10-flatness-0``.
        settings: the row's parameters as text.
        tags: lineage: stage, row, axes, profile, fingerprint, digests of the data.
        digests: data set name to digest, of every data set that the row depends on.
        metrics: final values, ``search/score``.
        curves: values by step, ``{"search_curves/best": {0: 0.1, ...}}``.
        files: what to attach, each with the folder to put it in.
    """

    name: str
    settings: dict[str, str]
    tags: dict[str, str]
    digests: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, dict[int, float]]
    files: list[tuple[Path, str]]


def head(params: Params, root: Path, key: Key) -> Record:
    """What is known when a row starts: everything but results."""
    nodes = graph(params)
    node = nodes[key]
    names = [row for stage, row in [key, *ancestors(nodes, key)] if stage == "data"]
    digests = {name: str(manifest(root, name)["digest"]) for name in sorted(names) if manifest(root, name)}
    tags = {
        "stage": node.stage,
        "row": node.row,
        "axes": json.dumps(dict(node.axes)),
        "profile": params.profile,
        "mlflow.source.name": f"pipeline/{node.stage}.py",
        "fingerprint": fingerprint(params, root, key, nodes),
        **{f"data.{name}": digest for name, digest in digests.items()},
    }
    name = f"{node.stage}@{node.row}" if node.row else node.stage
    return Record(name, settings(params, node), tags, digests, {}, {}, [])


def full(params: Params, root: Path, key: Key) -> Record:
    """:func:`head`, and what the finished row left in ``out``."""
    record = head(params, root, key)
    stage, folder = key[0], root / "out" / key[0] / key[1]
    values = {**metrics(root, key), **{name: value for name, value in timing(root, key).items() if name == "seconds"}}
    curves = {}
    history = table(root, key, "history.csv")
    if history is not None:
        curves = curves_of(history)
    candidates = table(root, key, "candidates.parquet")
    if candidates is not None and history is not None:
        # In units of the search's own spread, scores of different metrics can stand on one axis.
        low, middle, high = candidates["score"].quantile([0.25, 0.5, 0.75])
        spread = (high - low) or 1.0
        values["score_normalised"] = (values["score"] - middle) / spread
        curves["best_normalised"] = {step: (best - middle) / spread for step, best in curves["best"].items()}
    files = [(folder / name, "") for name in FILES if (folder / name).exists()]
    if (folder / "page.md").exists():
        files += [(path, "") for path in sorted(folder.glob("*.png"))]  # a page shows the pictures beside it
    return Record(
        record.name,
        record.settings,
        {**record.tags, "device": str(timing(root, key).get("device", "none"))},
        record.digests,
        {f"{stage}/{name}": float(value) for name, value in values.items()},
        {f"{stage}_curves/{name}": points for name, points in curves.items()},
        files,
    )


def entry(params: Params, root: Path, row: str, metrics: dict[str, float]) -> Record:
    """A retrained row's line of the leaderboard: its architecture, its search's axes, and ``metrics``."""
    nodes = graph(params)
    described = flatten(params.rows[row].model_dump(mode="json"))
    cell = nodes["retrain", row].inputs[1]
    if cell[0] in ("search", "rerank"):
        described |= nodes[cell].axes
    tags = {**head(params, root, ("retrain", row)).tags, "stage": "leaderboard"}
    return Record(row, described, tags, {}, metrics, {}, [])


def curves_of(history: pd.DataFrame) -> dict[str, dict[int, float]]:
    """A history's columns by the step in its first one; values that are not finite are left out."""
    step, *columns = history.columns
    return {
        str(name): {
            int(at): float(value)
            for at, value in zip(history[step], history[name], strict=True)
            if math.isfinite(value)
        }
        for name in columns
    }


def finished(params: Params, root: Path) -> list[Key]:
    """The rows that have left results, in the order of the chain."""
    done = ("metrics.json", "manifest.json", "report.html", "page.md")
    return [key for key in graph(params) if any((root / "out" / key[0] / key[1] / name).exists() for name in done)]

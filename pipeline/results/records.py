"""What a profile's folder knows about a row: where it stands in the graph, its settings, and what it left.

Everything here is read from ``params.yaml`` and ``out/``, so that the report and a rebuilt tracking database say the
same as what was seen live.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genas.models.errors import GenasError
from genas.pipeline.config import Params
from genas.pipeline.data.reading.files import json_of, reason, table_in
from genas.pipeline.stages import STAGES, Key, folder_of
from genas.pipeline.stages.graph import Node, ancestors, graph, settings

if TYPE_CHECKING:
    import pandas as pd

FILES = (
    "metrics.json",
    "timing.json",
    "manifest.json",
    "genotype.json",
    "history.csv",
    "curve.csv",
    "candidates.parquet",
    "scores.parquet",
    "agreement.csv",
    "errors.csv",
    "report.html",
    "page.md",
)
"""What a row may leave beside weights and examples."""
COLOURS = ("#1f6fb4", "#d1495b", "#3a8c5c", "#8a5fb0", "#d98a2b", "#4a4a4a", "#2a9d9d", "#c25fa3", "#8c6d31", "#7d9f2b")
"""Of the rows of a stage in MLflow's charts, in their order."""


@contextmanager
def sound(root: Path, key: Key) -> Iterator[None]:
    """Around the use of what a row has left.

    Raises:
        GenasError: its files can be read, but do not hold what the row left; the message names their folder.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        found = f"{type(error).__name__}: {reason(error)}"
        raise GenasError(f"{root / folder_of(key)}: not what {'@'.join(key)} leaves ({found}); run it again") from error


def _json(path: Path) -> dict[str, Any]:
    """An object of JSON; empty where there is no file.

    Raises:
        GenasError: something else is there.
    """
    if not path.exists():
        return {}
    found = json_of(path, f"the {path.stem} of a row")
    if not isinstance(found, dict):
        raise GenasError(f"{path}: a {type(found).__name__}, expected the {path.stem} of a row")
    return found


def metrics(root: Path, key: Key) -> dict[str, float]:
    """A row's ``metrics.json``; empty where the row has not run. Values that are not finite are left out.

    Raises:
        GenasError: it does not hold numbers by name.
    """
    path = root / folder_of(key) / "metrics.json"
    found = {name: value for name, value in _json(path).items() if value is not None}
    for name, value in found.items():
        if type(value) not in (int, float) or (type(value) is int and abs(value) > sys.float_info.max):
            raise GenasError(f"{path}: {name} is {reprlib.repr(value)}, expected a number")
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def timing(root: Path, key: Key) -> dict[str, Any]:
    """A row's ``timing.json``: ``seconds`` in all, ``device`` and, where it scores, ``scorer``, where it was resumed,
    ``earlier`` seconds; empty where it has not run.

    Raises:
        GenasError: it holds something else.
    """
    path = root / folder_of(key) / "timing.json"
    found = _json(path)
    about = [found.get("device"), found.get("scorer", "")]
    if found and (type(found.get("seconds")) not in (int, float) or not all(isinstance(one, str) for one in about)):
        raise GenasError(f"{path}: {reprlib.repr(found)}, expected seconds and device")
    return found


def manifest(root: Path, dataset: str) -> dict[str, Any]:
    """A data set's manifest; empty where the data stage has not run.

    Raises:
        GenasError: it is no object of JSON.
    """
    return _json(root / "out" / "data" / dataset / "manifest.json")


def table(root: Path, key: Key, name: str) -> pd.DataFrame | None:
    """``history.csv`` or ``candidates.parquet`` of a row, or None.

    Raises:
        GenasError: it cannot be read.
    """
    path = root / folder_of(key) / name
    return table_in(path) if path.exists() else None


def fingerprint(params: Params, root: Path, key: Key, nodes: Mapping[Key, Node]) -> str:
    """16 hexadecimal digits over a row's settings, the digests of its data, and the same of every row it reads."""
    content: list[Any] = [key, sorted(settings(params, key).items())]
    if key[0] == "data":
        content.append(manifest(root, key[1]).get("digest"))
    content += [fingerprint(params, root, read, nodes) for read in nodes[key].inputs if STAGES[key[0]].axes]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """What a tracking run holds.

    Attributes:
        name: ``search@cifar10-flatness-0``.
        settings: the row's parameters as text.
        tags: lineage (stage, row, axes, profile, fingerprint, digests of the data) and a description.
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


def named(key: Key) -> str:
    """A row as DVC and the command line name it: ``search@cifar10-flatness-0``."""
    return "@".join(part for part in key if part)


def about(params: Params, node: Node) -> str:
    """What a row is, in Markdown: its stage, what it reads, how it is made."""
    name = named((node.stage, node.row))
    reads = ", ".join(f"`{named(read)}`" for read in node.inputs if read[0] != "measures") or "nothing"
    if not STAGES[node.stage].axes:
        reads = "every row before it"
    made = f"`genas run {name} --profile {params.profile}`"
    what = f"**{STAGES[node.stage].title}**: `{node.row or node.stage}` of the profile `{params.profile}`"
    return f"{what}\n\n- made by {made}\n- reads {reads}"


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
        "mlflow.source.name": STAGES[node.stage].source,
        "fingerprint": fingerprint(params, root, key, nodes),
        "mlflow.note.content": about(params, node),
        "mlflow.runColor": COLOURS[list(STAGES[node.stage].rows(params)).index(node.row) % len(COLOURS)],
        **{f"data.{name}": digest for name, digest in digests.items()},
    }
    return Record(named(key), settings(params, key), tags, digests, {}, {}, [])


def full(params: Params, root: Path, key: Key) -> Record:
    """:func:`head`, and what the finished row left in ``out``.

    Raises:
        GenasError: what it left is not what a row leaves.
    """
    with sound(root, key):
        return _full(params, root, key)


def _full(params: Params, root: Path, key: Key) -> Record:
    record = head(params, root, key)
    stage, folder = key[0], root / folder_of(key)
    took = timing(root, key)
    values = {**metrics(root, key), **{name: value for name, value in took.items() if name == "seconds"}}
    curves = {}
    history = table(root, key, "history.csv")
    if history is not None:
        curves = curves_of(history)
    if history is not None and (scale := spread(root, key)):
        values["score_normalised"] = scale(values["score"])
        curves["best_normalised"] = {step: scale(best) for step, best in curves["best"].items()}
    files = [(folder / name, "") for name in FILES if (folder / name).exists()]
    if (folder / "page.md").exists():
        files += [(path, "") for path in sorted(folder.glob("*.png"))]  # a page shows the pictures beside it
    return Record(
        record.name,
        record.settings,
        {**record.tags, "device": "none", **{name: value for name, value in took.items() if name != "seconds"}},
        record.digests,
        {f"{stage}/{name}": float(value) for name, value in values.items()},
        {f"{stage}_curves/{name}": points for name, points in curves.items()},
        files,
    )


def spread(root: Path, key: Key) -> Callable[[float], float] | None:
    """What brings a search's scores to units of their own spread, in which those of different metrics can stand on one
    axis: the distance from the median of all candidates in interquartile ranges; None where there are no candidates."""
    candidates = table(root, key, "candidates.parquet")
    if candidates is None:
        return None
    with sound(root, key):
        low, middle, high = candidates["score"].quantile([0.25, 0.5, 0.75])
    return lambda score: float((score - middle) / ((high - low) or 1.0))


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
    return [key for key in graph(params) if any((root / folder_of(key) / name).exists() for name in done)]

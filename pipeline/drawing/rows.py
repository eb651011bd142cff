"""The pictures of one finished row, from the files that it left under ``out/``.

Stages leave numbers, never pictures, so that another colour makes no result stale; the report and the tracking draw
when they show a row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline.config import Params
from genas.pipeline.drawing.agreement import draw_agreement
from genas.pipeline.drawing.cells import draw_genotype
from genas.pipeline.drawing.curvature import draw_curvature
from genas.pipeline.drawing.curves import draw_curves
from genas.pipeline.drawing.laboratory import draw_laboratory, read_tables
from genas.pipeline.drawing.scenes import draw_detections, draw_segmentations
from genas.pipeline.drawing.searches import draw_scatter, draw_search, finalist_losses
from genas.pipeline.results import records
from genas.pipeline.stages import STAGES, folder_of

CURVES = 4
"""Columns of a history that are drawn."""
COORDINATES = ("flatness", "accuracy", "angle", "loss_0", "params", "macs")
"""Columns of a search's candidates, the first two of which that were measured are drawn against each other."""


class Row(NamedTuple):
    """A row, and where its pictures go.

    Attributes:
        params: the profile's parameters.
        root: the profile's folder.
        stage: name of the stage.
        name: of the row.
        folder: where to draw.
    """

    params: Params
    root: Path
    stage: str
    name: str
    folder: Path

    @property
    def out(self) -> Path:
        """What the row left."""
        return self.root / folder_of((self.stage, self.name))

    def table(self, name: str) -> pd.DataFrame | None:
        """A table that the row left, or None."""
        return records.table(self.root, (self.stage, self.name), name)


def draw_row(params: Params, root: Path, stage: str, row: str, folder: Path) -> list[Path]:
    """Draw a finished row into a folder; returns the PNG files in the order in which they are looked at.

    What the row has no files for is left out, and a stage that has no pictures gives none.

    Raises:
        GenasError: a file of the row is broken.
    """
    finished = Row(params, root, stage, row, folder)
    with records.sound(root, (stage, row)):
        return [path for picture in STAGES[stage].pictures for path in PICTURES[picture](finished)]


def _cell(row: Row) -> list[Path]:
    source, path = row.out / "genotype.json", row.folder / "cell.png"
    if not source.exists():
        return []
    draw_genotype(Genotype.load(source), path, row.name)
    return [path]


def _curves(row: Row) -> list[Path]:
    history, path = row.table("history.csv"), row.folder / "curves.png"
    if history is None or not len(history):
        return []
    step, *columns = [str(name) for name in history.columns]
    for name in (step, *columns[:CURVES]):
        if not pd.api.types.is_numeric_dtype(history[name]):
            raise GenasError(f"{row.stage}@{row.name}: column {name} of history.csv is no column of numbers")
    draw_curves(history, step, columns[:CURVES], path, f"{row.stage}@{row.name}")
    return [path]


def _curvature(row: Row) -> list[Path]:
    curve, path = row.table("curve.csv"), row.folder / "curvature.png"
    if curve is None:
        return []
    draw_curvature({row.name: curve}, path, f"{row.stage}@{row.name}")
    return [path]


def _search(row: Row) -> list[Path]:
    history, candidates = row.table("history.csv"), row.table("candidates.parquet")
    if history is None or candidates is None:
        return []
    paths = [row.folder / "search.png", row.folder / "candidates.png"]
    draw_search(history, paths[0], row.name, finalist_losses(candidates, row.params.measures.flatness.sigma))
    measured = [name for name in COORDINATES if name in candidates]
    x, y = measured[:2] if len(measured) > 1 else ("generation", "score")
    draw_scatter(candidates, x, y, paths[1], f"{row.name}: every candidate")
    return paths


def _agreement(row: Row) -> list[Path]:
    tau, errors, path = row.table("agreement.csv"), row.table("errors.csv"), row.folder / "agreement.png"
    if tau is None or errors is None:
        return []
    draw_agreement(tau.set_index("measure"), errors.set_index("images").rename(columns=int), path, row.name)
    return [path]


def _detections(row: Row) -> list[Path]:
    examples, path = row.out / "examples", row.folder / "detections.png"
    if not (examples / "boxes.json").exists():
        return []
    draw_detections(examples, path)
    return [path]


def _segmentations(row: Row) -> list[Path]:
    examples, path = row.out / "examples", row.folder / "segmentations.png"
    if not (examples / "classes.json").exists():
        return []
    draw_segmentations(examples, path)
    return [path]


def _laboratory(row: Row) -> list[Path]:
    tables = read_tables(row.out / "tables")
    return draw_laboratory(tables, row.name, row.folder) if tables else []


PICTURES: dict[str, Callable[[Row], list[Path]]] = {
    "curves": _curves,
    "curvature": _curvature,
    "evolution": _search,
    "cell": _cell,
    "ranks": _agreement,
    "judgement": _laboratory,
    "boxes": _detections,
    "masks": _segmentations,
}
"""What can be drawn of a row, by the names that the table of stages uses."""

"""The pictures of finished rows: every stage's, from its files alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from genas.models.errors import GenasError
from genas.models.networks.published import zoo_genotype
from genas.pipeline.config import load_params
from genas.pipeline.drawing.rows import PICTURES, draw_row
from genas.pipeline.stages import STAGES
from genas.pipeline.stages.graph import graph
from tests.pipeline.drawing.made import TABLES

SEARCH = ("search", "digits-flatness-0")


def names(root: Path, stage: str, row: str, folder: Path) -> list[str]:
    """What is drawn, in its order; nothing else lies in the folder, and nothing is left in ``out``."""
    before = sorted((root / "out").rglob("*"))
    paths = draw_row(load_params(root), root, stage, row, folder)
    assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())
    assert sorted((root / "out").rglob("*")) == before
    return [path.name for path in paths]


@pytest.mark.parametrize(
    ("stage", "row", "expected"),
    [
        ("data", "digits", []),
        ("supernet", "digits-0", ["curves.png"]),
        (*SEARCH, ["search.png", "candidates.png", "cell.png"]),
        ("agreement", "digits-0", ["agreement.png"]),
        ("retrain", "darts", ["curves.png"]),
        ("shift", "flatness", []),
        ("curvature", "flatness", ["curvature.png"]),
        ("detect", "flatness", ["detections.png"]),
        ("segment", "flatness", ["segmentations.png"]),
        ("report", "", []),
    ],
)
def test_each_stage_has_its_pictures(finished: Path, tmp_path: Path, stage: str, row: str, expected: list[str]) -> None:
    assert names(finished, stage, row, tmp_path / "drawn") == expected


def test_a_history_of_texts_is_no_curve(finished: Path, tmp_path: Path) -> None:
    (finished / "out/supernet/digits-0/history.csv").write_text("a,b\n1,x\n")
    with pytest.raises(GenasError, match=r"supernet@digits-0: column b of history\.csv is no column of numbers"):
        names(finished, "supernet", "digits-0", tmp_path / "drawn")


@pytest.mark.parametrize(("stage", "row"), [("zoo", "darts_v2_c10"), ("rerank", "digits-angle_flatness-0-16")])
def test_cells_are_drawn_from_the_genotype(finished: Path, tmp_path: Path, stage: str, row: str) -> None:
    assert names(finished, stage, row, tmp_path / "without") == []
    zoo_genotype("darts_v2_c10").save(finished / "out" / stage / row / "genotype.json")
    assert names(finished, stage, row, tmp_path / "drawn") == ["cell.png"]


def test_the_laboratory_is_drawn_from_its_tables(finished: Path, tmp_path: Path) -> None:
    folder = finished / "out/laboratory/digits/tables"
    folder.mkdir(parents=True)
    for name, table in TABLES.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    expected = ["measures", "scatter", "figure_2", "table_6", "generalisation", "walks", "training_length"]
    assert names(finished, "laboratory", "digits", tmp_path / "drawn") == [f"{name}.png" for name in expected]


def test_rows_that_have_not_run_have_no_pictures(profile: Path, tmp_path: Path) -> None:
    params = load_params(profile)
    for stage, row in graph(params):
        assert draw_row(params, profile, stage, row, tmp_path / "drawn") == []


def test_every_picture_that_the_table_names_can_be_drawn() -> None:
    assert {picture for stage in STAGES.values() for picture in stage.pictures} == set(PICTURES)


def test_a_search_without_its_candidates_has_its_cell(finished: Path, tmp_path: Path) -> None:
    (finished / "out" / "/".join(SEARCH) / "candidates.parquet").unlink()
    assert names(finished, *SEARCH, tmp_path / "drawn") == ["cell.png"]


def test_a_broken_genotype_is_named(finished: Path, tmp_path: Path) -> None:
    (finished / "out" / "/".join(SEARCH) / "genotype.json").write_text("{}")
    with pytest.raises(GenasError, match=r"genotype\.json"):
        draw_row(load_params(finished), finished, *SEARCH, tmp_path / "drawn")
    shutil.rmtree(finished / "out" / "search")
    assert names(finished, *SEARCH, tmp_path / "again") == []

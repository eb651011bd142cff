"""The table of stages against DVC's own reading of ``dvc.yaml``, for every profile."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from genas.pipeline.config import MEASURES, PROFILES, REPOSITORY, Params, load_params
from genas.pipeline.stages import STAGES, Key, folder_of, rows_of
from genas.pipeline.stages.graph import ancestors, graph, settings

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def key_of(name: str) -> Key:
    """A row from DVC's name for it."""
    stage, _, row = name.partition("@")
    return stage, row


@cache
def dvc_rows(profile: str) -> dict[Key, Any]:
    """DVC's stages of a profile."""
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    folder = PROFILES[profile].resolve()
    with Repo(str(folder)) as repo:
        assert Path(repo.root_dir) == folder, "a repository of DVC's own, which sees no other profile"
        stages = [s for s in repo.index.graph if isinstance(s, PipelineStage)]
        inputs = {key_of(s.name): {key_of(i.name) for i in repo.index.graph.successors(s)} for s in stages}
        params = {
            key_of(s.name): {name for dep in s.deps if hasattr(dep, "params") for name in dep.params} for s in stages
        }
        scans = {key_of(s.name): bool(s.always_changed) for s in stages}
        outs = {key_of(s.name): {Path(out.fs_path).relative_to(folder) for out in s.outs} for s in stages}
    return {key: (inputs[key], params[key], scans[key], outs[key]) for key in inputs}


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> tuple[Params, dict[Key, Any]]:
    return load_params(PROFILES[request.param]), dvc_rows(request.param)


def test_dvc_has_the_rows_of_the_table(profile: tuple[Params, dict[Key, Any]]) -> None:
    params, rows = profile
    assert set(graph(params)) == set(rows)


def test_rows_read_what_dvc_says(profile: tuple[Params, dict[Key, Any]]) -> None:
    """DVC knows of no data set that another is made from: its scan looks itself. It sees the stage of the measures."""
    params, rows = profile
    for key, node in graph(params).items():
        code, expected = {("measures", "")}, set(node.inputs)
        assert rows[key][0] - code == (set() if key[0] == "data" else expected - code), key
        takes = bool(list(STAGES[key[0]].measures(params, node.axes)))
        assert (code <= rows[key][0]) == (takes or code <= expected), key


def test_rows_depend_on_the_parameters_that_dvc_says(profile: tuple[Params, dict[Key, Any]]) -> None:
    params, rows = profile
    for (stage, row), (_, names, _, _) in rows.items():
        axes = STAGES[stage].rows(params)[row]
        expected = set(STAGES[stage].keys(params, axes).values())
        if list(STAGES[stage].measures(params, axes)):  # whose metric is in the file that it depends on
            expected -= {key for key in expected if key.startswith("metrics.") and key not in names}
        assert expected == names, (stage, row)


def test_scans_are_dvc_s(profile: tuple[Params, dict[Key, Any]]) -> None:
    for (stage, _), (_, _, scan, _) in profile[1].items():
        assert STAGES[stage].scan == scan, stage


def test_rows_write_into_their_own_folder(profile: tuple[Params, dict[Key, Any]]) -> None:
    for key, (_, _, _, outs) in profile[1].items():
        folder = Path(folder_of(key))
        assert all(folder == out or folder in out.parents for out in outs), key


def test_every_stage_has_a_module_with_the_right_name() -> None:
    for stage in STAGES.values():
        assert importlib.util.find_spec(stage.module) is not None, stage.module


def test_settings_name_all_that_a_row_depends_on() -> None:
    params = load_params(PROFILES["demo"])
    found = settings(params, ("search", "digits-angle_flatness-0"))
    assert found["metric"] == "angle_flatness"
    assert found["metric.terms.flatness"] == "16.0"
    assert {f"metric.terms.{name}" for name in MEASURES} <= set(found), "every search has every measure"
    assert {"supernet.channels", "measures.flatness.sigma", "search.population", "data.layout"} <= set(found)
    retrained = settings(params, ("retrain", "flatness"))
    assert retrained["row"] == "flatness"
    assert retrained["row.cell"] == "search/digits-flatness-0"
    assert retrained["recipe.optimizer"] == "momentum"


def test_ancestors_are_all_inputs_nearest_first() -> None:
    params = load_params(PROFILES["demo"])
    found = list(ancestors(graph(params), ("shift", "flatness")))
    assert set(found[:3]) == {("data", "digits"), ("data", "digits_shift"), ("retrain", "flatness")}
    assert set(found[3:]) == {("search", "digits-flatness-0"), ("supernet", "digits-0")}
    assert len(found) == len(set(found))


def test_the_report_reads_what_it_reports() -> None:
    params = load_params(PROFILES["mini"])
    read = {stage for stage, _ in graph(params)["report", ""].inputs}
    assert read - {"measures"} == {name for name, stage in STAGES.items() if stage.reported and rows_of(params, name)}


def spelled_lists(tree: ast.AST) -> list[list[str]]:
    """The constants of every list, tuple, set and dictionary that is written out."""
    lists = []
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            parts: list[ast.expr | None] = list(node.elts)
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        else:
            continue
        lists.append([p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)])
    return lists


PROPER = {name for name in STAGES if name not in ("data", "measures", "search", "report")}
"""Names that mean nothing but a stage: the others are words, sections and folders too."""


def test_stages_are_enumerated_in_the_table_alone() -> None:
    """Naming one stage is fine; a list of several is a second table that will drift."""
    for package in ("models", "pipeline", "flows", "benchmarks"):
        for path in (REPOSITORY / package).rglob("*.py"):
            if path.relative_to(REPOSITORY) == Path("pipeline/stages/table.py"):
                continue
            for constants in spelled_lists(ast.parse(path.read_text())):
                assert len(PROPER.intersection(constants)) < 2, f"{path}: {constants}"

"""DVC does not follow imports: the code that ``dvc.yaml`` lists for each stage, against what the stage imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genas.pipeline.config import MEASURES, REPOSITORY
from genas.pipeline.machine.imports import ARITHMETIC, NEUTRAL, closure, covered, digest, neutral
from genas.pipeline.stages import STAGES

GRAPH: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
MOST = 8
"""Lines of code among the dependencies of a stage."""


def deps(stage: str) -> list[str]:
    return GRAPH[stage].get("do", GRAPH[stage]).get("deps", [])


def code_deps(stage: str) -> list[str]:
    """The code dependencies of a stage, relative to the repository."""
    return [dep.removeprefix("${code}/") for dep in deps(stage) if dep.startswith("${code}/")]


def needed(stage: str) -> set[Path]:
    """The code that a stage's row depends on by DVC's list: measures are seen by the stage of that name."""
    files = closure(STAGES[stage].module)
    if any(dep.startswith("out/measures/") for dep in deps(stage)):
        for name in MEASURES:
            files -= closure(f"genas.pipeline.measures.{name}", computed=False)
        files |= closure(STAGES[stage].module, computed=False)
        files = {file for file in files if file.parent != Path("pipeline/measures")}
    return files


LISTED = [stage for stage in STAGES if stage != "measures"]
"""The stage of the measures looks at the code itself, every time."""


@pytest.mark.parametrize("stage", LISTED)
def test_every_imported_file_is_a_dependency(stage: str) -> None:
    missing = sorted(str(file) for file in needed(stage) if not covered(file, code_deps(stage)))
    assert missing == [], f"dvc.yaml, stage {stage}: deps lack {missing}"


@pytest.mark.parametrize("stage", LISTED)
def test_every_code_dependency_exists_and_is_needed(stage: str) -> None:
    files = needed(stage)
    for dep in code_deps(stage):
        path = Path(dep)
        assert (REPOSITORY / path).exists(), f"dvc.yaml, stage {stage}: {dep} does not exist"
        # A data file belongs to the module of its name.
        wanted = path if path.suffix in ("", ".py") else path.with_suffix(".py")
        assert any(covered(file, [str(wanted)]) for file in files), f"dvc.yaml, stage {stage}: {dep} is not imported"


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_few_and_listed_once(stage: str) -> None:
    listed = code_deps(stage)
    assert len(set(listed)) == len(listed)
    assert len(listed) <= MOST, f"dvc.yaml, stage {stage}: {len(listed)} lines of code"
    assert not any(neutral(Path(dep)) for dep in listed), "what changes no number makes nothing stale"


@pytest.mark.parametrize("stage", STAGES)
def test_measures_are_a_dependency_where_they_are_taken(stage: str) -> None:
    """The file that the stage of the measures leaves for the row, exactly where the table says that it takes some."""
    takes = STAGES[stage].measures.__qualname__ != "Stage.<lambda>"
    assert [dep for dep in deps(stage) if "measures/" in dep] == [f"out/measures/{stage}/${{key}}.json"] * takes


@pytest.mark.parametrize("data", list(REPOSITORY.glob("models/**/*.json")), ids=lambda path: path.name)
def test_data_beside_a_module_is_a_dependency_wherever_the_module_is(data: Path) -> None:
    file = data.relative_to(REPOSITORY)
    readers = [stage for stage in LISTED if file.with_suffix(".py") in closure(STAGES[stage].module)]
    assert readers
    assert [stage for stage in readers if not covered(file, code_deps(stage))] == []


def test_neutral_places_exist() -> None:
    assert [place for place in (*NEUTRAL, *ARITHMETIC) if not (REPOSITORY / place).exists()] == []
    assert not neutral(Path(ARITHMETIC[0]))
    assert neutral(Path("pipeline/machine/resume.py"))


def test_the_closure_sees_what_it_should() -> None:
    """Function-level imports, computed ones, and packages; nothing of the flows."""
    search = {str(file) for file in closure(STAGES["search"].module)}
    assert {
        "pipeline/measures/angle.py",
        "pipeline/data/reading/halves.py",
        "models/spaces/darts/supernet.py",
    } <= search
    assert "pipeline/data/derive.py" in {str(file) for file in closure(STAGES["data"].module)}
    assert "models/spaces/darts/supernet.py" not in {str(file) for file in closure(STAGES["retrain"].module)}
    assert all(file.parts[0] in ("models", "pipeline") for stage in STAGES.values() for file in closure(stage.module))


def test_a_measure_depends_on_its_own_code_alone() -> None:
    angle, flatness = (
        {str(file) for file in closure(f"genas.pipeline.measures.{name}", computed=False)}
        for name in ("angle", "flatness")
    )
    assert {"pipeline/measures/angle.py", "models/official/vector.py"} <= angle
    assert {"pipeline/measures/flatness.py", "pipeline/probe/noise.py", "pipeline/probe/plain.py"} <= flatness
    assert "pipeline/measures/accuracy.py" not in angle


def test_a_digest_covers_data_beside_the_code() -> None:
    build = Path("models/fast/native/build.py")
    assert digest([build]) == digest([build, *(build.with_name(name) for name in ("blocks.c", "rows.h"))])
    assert digest([build]) != digest([Path("models/fast/pooling.py")])

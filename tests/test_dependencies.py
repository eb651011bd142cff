"""DVC does not follow imports: the code that ``dvc.yaml`` lists for each stage, against what the stage imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.__main__ import MODULES, STAGES
from pipeline.config import REPOSITORY

PACKAGES = ("models", "pipeline")
GRAPH: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]


def code_deps(stage: str) -> list[str]:
    """The code dependencies of a stage, relative to the repository."""
    deps = GRAPH[stage].get("do", GRAPH[stage])["deps"]
    return [dep.removeprefix("${code}/") for dep in deps if dep.startswith("${code}/")]


def file_of(module: str) -> Path | None:
    """A module's file, relative to the repository; None for what is no module of ours."""
    path = Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (REPOSITORY / candidate).exists():
            return candidate
    return None


def runs(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of blocks for the type checker, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from runs(node)


@cache
def imports(file: Path) -> frozenset[str]:
    """The modules of ours that a file imports, functions included, with the packages around them.

    A package that imports modules by computed names takes in all of its own.
    """
    names: set[str] = set()
    for node in runs(ast.parse((REPOSITORY / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {".".join(one.relative_to(REPOSITORY).with_suffix("").parts) for one in siblings(file)}
    ours = {name for name in names if name.split(".")[0] in PACKAGES and file_of(name)}
    around = {".".join(name.split(".")[:i]) for name in ours for i in range(1, name.count(".") + 1)}
    return frozenset(ours | around)


def siblings(file: Path) -> list[Path]:
    return list((REPOSITORY / file).parent.glob("*.py"))


def closure(stage: str) -> set[Path]:
    """Every file of ours that holds code and that a stage's module can import."""
    found: set[Path] = set()
    waiting = [MODULES[stage]]
    while waiting:
        file = file_of(waiting.pop())
        if file is not None and file not in found:
            found.add(file)
            waiting += imports(file)
    return {file for file in found if (REPOSITORY / file).read_text().strip()}


def covers(dep: str, file: Path) -> bool:
    return Path(dep) == file or Path(dep) in file.parents


def test_the_graph_has_the_stages_of_the_program() -> None:
    assert set(GRAPH) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_imported_file_is_a_dependency(stage: str) -> None:
    deps = code_deps(stage)
    missing = sorted(str(file) for file in closure(stage) if not any(covers(dep, file) for dep in deps))
    assert missing == [], f"dvc.yaml, stage {stage}: deps lack {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_code_dependency_exists_and_is_needed(stage: str) -> None:
    needed = closure(stage)
    for dep in code_deps(stage):
        assert (REPOSITORY / dep).exists(), f"dvc.yaml, stage {stage}: {dep} does not exist"
        path = Path(dep)
        # A data file belongs to the module of its name.
        wanted = path if path.suffix in ("", ".py") else path.with_suffix(".py")
        assert any(covers(str(wanted), file) for file in needed), f"dvc.yaml, stage {stage}: {dep} is not imported"


@pytest.mark.parametrize("stage", STAGES)
def test_no_code_dependency_is_listed_twice(stage: str) -> None:
    deps = code_deps(stage)
    assert len(set(deps)) == len(deps)


@pytest.mark.parametrize("module", list(REPOSITORY.glob("models/**/*.json")), ids=lambda path: path.name)
def test_data_beside_a_module_is_a_dependency_wherever_the_module_is(module: Path) -> None:
    source, data = (str(path.relative_to(REPOSITORY)) for path in (module.with_suffix(".py"), module))
    readers = [stage for stage in STAGES if Path(source) in closure(stage)]
    assert readers
    assert [stage for stage in readers if not any(covers(dep, Path(data)) for dep in code_deps(stage))] == []


def test_the_closure_sees_what_it_should() -> None:
    """Function-level imports, computed ones, and packages; nothing of the flows."""
    search = {str(file) for file in closure("search")}
    assert {
        "pipeline/measures/angle.py",
        "pipeline/data/reading/halves.py",
        "models/spaces/darts/supernet.py",
    } <= search
    assert "pipeline/data/derive.py" in {str(file) for file in closure("data")}  # imported inside a function
    assert "models/spaces/darts/supernet.py" not in {str(file) for file in closure("retrain")}
    assert all(file.parts[0] in PACKAGES for stage in STAGES for file in closure(stage))

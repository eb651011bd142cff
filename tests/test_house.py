"""What keeps the house in order: the size of modules and packages, a text on every door, tests where the code is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from genas.pipeline.config import REPOSITORY

SOURCES = ("models", "pipeline", "flows", "benchmarks")
LONGEST = 300
"""Lines of a module."""
LARGEST = 12
"""Modules of a package. A measure is a module of its own, so their package grows by one with each."""
GROWING = Path("pipeline/measures")

MODULES = [path.relative_to(REPOSITORY) for name in SOURCES for path in sorted((REPOSITORY / name).rglob("*.py"))]
PACKAGES = sorted({module.parent for module in MODULES})


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_too_long(module: Path) -> None:
    assert len((REPOSITORY / module).read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_no_package_is_too_large(package: Path) -> None:
    modules = [module for module in MODULES if module.parent == package and module.name != "__init__.py"]
    assert package == GROWING or len(modules) <= LARGEST, modules


@pytest.mark.parametrize("module", [m for m in MODULES if (REPOSITORY / m).read_text()], ids=str)
def test_every_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(ast.parse((REPOSITORY / module).read_text()))


@pytest.mark.parametrize("package", [p for p in PACKAGES if p.parts[0] == "pipeline"], ids=str)
def test_a_package_of_the_pipeline_is_told_in_ten_lines(package: Path) -> None:
    text = ast.get_docstring(ast.parse((REPOSITORY / package / "__init__.py").read_text()))
    assert text, f"{package}/__init__.py has no docstring"
    most = 16 if package == Path("pipeline") else 10
    assert package == GROWING or len(text.splitlines()) <= most


TESTS = [path.relative_to(REPOSITORY / "tests") for path in sorted((REPOSITORY / "tests").rglob("test_*.py"))]


@pytest.mark.parametrize("test", [test for test in TESTS if test.parent != Path()], ids=str)
def test_tests_lie_where_the_code_lies(test: Path) -> None:
    assert test.parent in PACKAGES, f"there is no package {test.parent}"


@pytest.mark.parametrize("package", [p for p in PACKAGES if p.parts[0] in ("models", "pipeline", "flows")], ids=str)
def test_every_package_has_tests(package: Path) -> None:
    """Its own, or those of the package around it or of one inside it."""
    folders = {test.parent for test in TESTS}
    assert any(package == folder or package in folder.parents or folder in package.parents for folder in folders)

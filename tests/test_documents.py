"""Documents name files, functions, stages and commands that exist, and their prose keeps within the line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from genas.pipeline.config import REPOSITORY
from genas.pipeline.stages import STAGES

DOCUMENTS = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/mini/README.md")] + [
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "docs/tutorials").glob("*.md")),
]
WIDEST = 120
PLACE = re.compile(r"`((?:models|pipeline|flows|benchmarks|tests|docs|profiles|tools)/[\w./-]*)(?::(\w+))?(?:[`, ])")


def prose(text: str) -> Iterator[str]:
    """The lines that are no code and no table."""
    code = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not line.startswith("|"):
            yield line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_prose_keeps_within_the_line(document: Path) -> None:
    assert [line for line in prose(document.read_text()) if len(line) > WIDEST] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_places_in_the_repository_exist(document: Path) -> None:
    """But for what a profile's run leaves (``out/``), and what a text asks its reader to write."""
    text = document.read_text()
    made = tuple(f"profiles/{name}" for name in ("mine", *re.findall(r"genas init (\w+)", text)))
    for path, name in PLACE.findall(text):
        if "NAME" in path or "/out" in path or path.startswith(made):
            continue
        file = REPOSITORY / path
        assert file.exists(), f"{document.name}: {path}"
        if name:
            defined = {node.name for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "name")}
            assert name in defined, f"{document.name}: {path} has no {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]*)?\)", document.read_text()):
        if not re.match(r"https?://|mailto:", target):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_table_of_the_paper_names_every_equation_table_and_figure() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    table = text.split("## From the paper to the code")[1].split("##")[0]
    for number in range(1, 6):
        assert re.search(rf"Eq\. {number}\b", table), f"Eq. {number}"
    for number in range(1, 9):
        assert re.search(rf"Table {number}\b|Tables \d and {number}\b|Tables {number} and", table), f"Table {number}"
    for number in range(2, 5):
        assert f"Figure {number}" in table


def test_every_stage_is_told_in_the_documents() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    told = re.findall(r"(?m)^\| `(\w+)` \|", text)
    assert [stage for stage in STAGES if stage not in told] == []


def test_commands_of_the_readme_exist() -> None:
    from genas.flows.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    for document in DOCUMENTS:
        for command in re.findall(r"`(?:GENAS_\w+=\w+ )*genas ([a-z]+)", document.read_text()):
            assert command in names | set(groups), f"{document.name}: genas {command}"

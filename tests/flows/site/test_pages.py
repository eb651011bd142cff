"""What the site is made of: every document and every public module is on it, and no link leads out of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from genas.flows.site import hooks, pages
from genas.pipeline.config import REPOSITORY


def leaves(part: Any) -> list[str]:
    """The files of a navigation."""
    if isinstance(part, str):
        return [part]
    return [leaf for inner in (part.values() if isinstance(part, dict) else part) for leaf in leaves(inner)]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as they are laid out for mkdocs, read only."""
    folder = tmp_path_factory.mktemp("staged")
    pages.lay_documents(folder)
    return folder


def test_the_navigation_holds_every_document_and_every_package(tmp_path: Path) -> None:
    interface = pages.lay_interface(tmp_path)
    found = leaves(pages.navigation(pages.documents(), interface))
    documents = [path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md")]
    packages = [f"api/{path.name}" for path in (tmp_path / "api").iterdir()]
    assert sorted(found) == sorted([*pages.PROJECT, *documents, *packages, "reports.md"])
    assert "api/genas.pipeline.measures.md" in packages


def test_every_public_module_has_a_place_on_the_page_of_its_package(tmp_path: Path) -> None:
    pages.lay_interface(tmp_path)
    for source in pages.SOURCES:
        for path in (REPOSITORY / source).rglob("*.py"):
            parts = ("genas", *path.relative_to(REPOSITORY).with_suffix("").parts)
            if not parts[-1].startswith("_"):
                text = (tmp_path / "api" / f"{'.'.join(parts[:-1])}.md").read_text()
                assert f"::: {'.'.join(parts)}\n" in text
    assert "::: genas.pipeline.measures\n" in (tmp_path / "api/genas.pipeline.measures.md").read_text()
    assert "__main__" not in (tmp_path / "api/genas.pipeline.md").read_text()


def test_links_lead_to_what_is_on_the_site(staged: Path) -> None:
    links = 0
    for page in staged.rglob("*.md"):
        for text, target in re.findall(r"\[([^\]]*)\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"https?://|mailto:", target):
                links += 1
                assert (page.parent / target).is_file(), f"{page.relative_to(staged)}: {text}"
    assert links > 100


def test_a_link_to_code_is_text_and_others_stay_as_they_are() -> None:
    text = "[code](../models/a.py) [there](b.md#c) [w](https://x.y/z) ![a](b.png) [folder](../docs) [up](../README.md)"
    known = [Path("docs/b.md"), Path("README.md")]
    kept = pages.plain_where_nothing_leads(text, Path("docs/a.md"), known)
    assert kept == "code [there](b.md#c) [w](https://x.y/z) ![a](b.png) folder [up](../README.md)"


def test_a_report_comes_with_the_files_that_it_links_to_and_no_others(tmp_path: Path) -> None:
    root, folder = tmp_path / "profile", tmp_path / "site"
    for name, text in {
        "out/report/report.html": '<a href="../../out/retrain/a/metrics.json"></a> <a href="../../../secret"></a>',
        "out/retrain/a/metrics.json": "{}",
        "out/retrain/a/weights.safetensors": "",
        "../secret": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    folder.mkdir()
    assert pages.lay_reports(folder, {"one": root, "none": tmp_path}) == ["one"]
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    inside = {"reports/one/out/report/report.html", "reports/one/out/retrain/a/metrics.json"}
    assert found == {"reports.md", *inside}
    assert "- [one](reports/one/out/report/report.html)" in (folder / "reports.md").read_text()


def test_nothing_is_fetched_from_the_network(tmp_path: Path) -> None:
    found = pages.configuration(tmp_path, [])
    assert found["theme"]["font"] is False
    assert {level for part in found["validation"].values() for level in part.values()} == {"warn"}
    assert not {"extra_css", "extra_javascript"} & set(found)


def test_references_of_docstrings_become_code() -> None:
    assert hooks.on_page_content("see :func:<code>build</code>, a:b") == "see <code>build</code>, a:b"

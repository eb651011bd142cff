"""What the site is made of, laid out for mkdocs as it lies in the repository, so that links stay what they are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genas.pipeline.config import REPOSITORY

PROJECT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
SOURCES = ("models", "pipeline", "flows", "benchmarks")
"""Packages whose interface is shown."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
REPORTS = "Every number links to the row that it comes from; its metrics and parameters lie beside the report."


def documents(repository: Path = REPOSITORY) -> list[str]:
    """The files of the documentation, relative to the repository: pages, pictures, tables."""
    found = sorted(path for path in (repository / "docs").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [*PROJECT, *(path.relative_to(repository).as_posix() for path in found)]


def modules(repository: Path = REPOSITORY) -> dict[str, list[str]]:
    """The public modules of each package by its name, the package itself first."""
    found: dict[str, list[str]] = {}
    for source in SOURCES:
        for path in sorted((repository / source).rglob("*.py")):
            parts = ("genas", *path.relative_to(repository).with_suffix("").parts)
            if parts[-1] == "__init__":
                found.setdefault(".".join(parts[:-1]), []).insert(0, ".".join(parts[:-1]))
            elif not parts[-1].startswith("_"):
                found.setdefault(".".join(parts[:-1]), []).append(".".join(parts))
    return dict(sorted(found.items()))


def plain_where_nothing_leads(text: str, place: Path, known: Iterable[Path]) -> str:
    """A page whose links to files that are not on the site are text.

    Args:
        text: Markdown.
        place: of the page, relative to the site.
        known: the files of the site.
    """
    files = set(known)

    def kept(found: re.Match[str]) -> str:
        parts: list[str] = []
        for part in (place.parent / found[2]).parts:
            if part != "..":
                parts.append(part)
            elif parts:
                parts.pop()
        return found[0] if Path(*parts) in files else found[1]

    return LINK.sub(kept, text)


def lay_documents(folder: Path, repository: Path = REPOSITORY) -> None:
    """Copy the documentation; a link to code or to a folder becomes text, as neither is on the site."""
    names = documents(repository)
    for name in names:
        source, target = repository / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            known = [Path(name) for name in names]
            target.write_text(plain_where_nothing_leads(source.read_text(), Path(name), known))
        else:
            shutil.copyfile(source, target)


def lay_reports(folder: Path, profiles: Mapping[str, Path]) -> list[str]:
    """Copy the report of each profile that has one, with the files that it links to, and write the page that lists
    them; returns the names of these profiles."""
    found = {name: root for name, root in profiles.items() if (root / "out/report/report.html").is_file()}
    for name, root in found.items():
        for page in _linked(root, Path("out/report/report.html")):
            target = folder / "reports" / name / page
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / page, target)
    lines = [f"- [{name}](reports/{name}/out/report/report.html)" for name in found]
    about = [REPORTS, "\n".join(lines)] if lines else ["No profile has a report yet: `genas run --profile NAME`."]
    (folder / "reports.md").write_text("\n\n".join(["# Reports", *about]) + "\n")
    return list(found)


def _linked(root: Path, page: Path) -> list[Path]:
    """A page of a profile and the files inside the profile that it links to."""
    targets = [page]
    for link in dict.fromkeys(re.findall(r'href="(\.\./[^"#]+)"', (root / page).read_text(errors="replace"))):
        path = (root / page.parent / link).resolve()
        if path.is_file() and path.is_relative_to(root.resolve()):
            targets.append(path.relative_to(root.resolve()))
    return targets


def lay_interface(folder: Path, repository: Path = REPOSITORY) -> dict[str, list[Any]]:
    """Write a page for each package with what its modules offer; returns their part of the navigation."""
    (folder / "api").mkdir()
    parts: dict[str, list[Any]] = {source: [] for source in SOURCES}
    for package, names in modules(repository).items():
        blocks = "\n".join(f"::: {name}\n" for name in names)
        (folder / "api" / f"{package}.md").write_text(f"# {package}\n\n{blocks}")
        parts[package.split(".")[1]].append({package: f"api/{package}.md"})
    return parts


def navigation(names: Iterable[str], interface: Mapping[str, list[Any]]) -> list[Any]:
    """The menu: the project, every page of ``docs/``, the reports, the interface."""
    pages = [name for name in names if name.endswith(".md")]
    inside = [name for name in pages if name.startswith("docs/")]
    tutorials = [name for name in inside if name.startswith("docs/tutorials/")]
    results = [name for name in inside if name.count("/") > 1 and name not in tutorials]
    return [
        {"GeNAS": "README.md"},
        {"Tutorials": tutorials},
        {"Documents": [name for name in inside if name not in (*tutorials, *results)]},
        {"Results": ["reports.md", *results]},
        {"Interface": [{name: pages} for name, pages in interface.items()]},
        {"Project": [name for name in pages if "/" not in name and name != "README.md"]},
    ]


def configuration(folder: Path, nav: list[Any], repository: Path = REPOSITORY) -> dict[str, Any]:
    """Of mkdocs: nothing is fetched from the network, and a link that leads nowhere is an error."""
    shown = {
        "docstring_style": "google",
        # "s0, s1: states" tells of two arguments in one line
        "docstring_options": {"warn_unknown_params": False, "warn_missing_types": False},
        "filters": ["!^_"],
        "heading_level": 2,
        "members_order": "source",
        "separate_signature": True,
        "show_if_no_docstring": False,
        "show_root_full_path": True,
        "show_root_heading": True,
        "show_signature_annotations": True,
        "show_source": False,
    }
    python = {"paths": [str(repository)], "options": shown}
    return {
        "site_name": "GeNAS, as a pipeline that runs",
        "docs_dir": str(folder),
        "nav": nav,
        "theme": {"name": "material", "font": False, "features": ["navigation.indexes", "navigation.top"]},
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": python}}}],
        "hooks": [str(Path(__file__).with_name("hooks.py"))],
        "markdown_extensions": ["tables", "fenced_code", "md_in_html", {"toc": {"permalink": True}}],
        "use_directory_urls": False,  # it can be read from a folder, without a server
        "validation": {
            "nav": {"omitted_files": "warn", "not_found": "warn", "absolute_links": "warn"},
            "links": {"anchors": "warn", "not_found": "warn", "absolute_links": "warn", "unrecognized_links": "warn"},
        },
    }

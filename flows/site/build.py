"""Build the static site with mkdocs, whose packages are the extra ``site``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from genas.flows.site import pages
from genas.models.errors import GenasError
from genas.pipeline.config import CHECKOUT, profiles

NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers.python")
MARK = ".genas-site"
"""A file by which a site is known from other folders, which nothing is written over."""


def lacking() -> list[str]:
    """Those of the packages that are not installed."""
    return [name for name in NEEDED if not _found(name)]


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def site(out: Path) -> Path:
    """Write the site into a folder, in place of an earlier one; returns its first page.

    Raises:
        GenasError: the extra is missing, the folder holds something else, or mkdocs has warned of something.
    """
    if not CHECKOUT:
        raise GenasError("genas site needs a checkout of the project: the documents are not in the installed package")
    if lacking():
        raise GenasError("genas site needs the extra site: pip install -c constraints.txt -e '.[site]'")
    if out.exists() and not out.is_dir():
        raise GenasError(f"{out} is a file, expected a folder for the site")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise GenasError(f"{out} holds something that is no site: choose a new or an empty folder")
    with tempfile.TemporaryDirectory(prefix="genas-site-") as name:
        staged, built = Path(name) / "docs", Path(name) / "site"
        staged.mkdir()
        pages.lay_documents(staged)
        pages.lay_reports(staged, profiles())
        nav = pages.navigation(pages.documents(), pages.lay_interface(staged))
        config = Path(name) / "mkdocs.yml"
        config.write_text(yaml.safe_dump(pages.configuration(staged, nav), sort_keys=False))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(built)]
        surroundings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # news of a successor
        said = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
        if said.returncode:
            lines = [line for line in (said.stdout + said.stderr).splitlines() if line.strip()]
            warnings = [line for line in lines if line.startswith(("WARNING", "ERROR"))]
            raise GenasError(f"mkdocs: {' '.join((warnings or lines or ['failed'])[0].split())}")
        (built / MARK).touch()
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(built, out)
    return out / "index.html"

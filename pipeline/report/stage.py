"""The report of a profile: the paper's tables with our numbers beside theirs, curves, cells, pictures, times.

Reads ``params.yaml`` and ``out/`` alone, draws every picture from them, and writes ``report.md`` with its pictures, and
``report.html`` in one file. The same inputs give the same bytes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from genas.pipeline.config import Params, load_params
from genas.pipeline.context import Context
from genas.pipeline.report import figures, numbers, overview, provenance, rows, summary
from genas.pipeline.report.html import html
from genas.pipeline.report.page import contents, numbered
from genas.pipeline.stages import STAGES

DIFFERENT = (
    "Data, sizes and lengths differ from the paper's, so **the numbers cannot be compared with the paper's**, "
    "which are folded away below our own."
)
ABOUT = {
    "paper": "the paper's own experiment: its data sets, its recipes.",
    "mini": f"the paper's chain on small real data. {DIFFERENT}",
    "laboratory": f"supernets of NAS-Bench-201 alone, small ones trained long. {DIFFERENT}",
    "demo": f"the paper's chain in minutes, on data that come with the software. {DIFFERENT}",
}
OWN = "a profile of your own: **its numbers are the paper's only where data and settings are**."


def run(context: Context) -> None:
    """The stage: see :func:`build`."""
    build(context.root)


def build(root: Path) -> Path:
    """Write ``out/report/report.md``, ``report.html``, ``pictures/`` and ``tables/*.csv``; returns the page's path.

    Raises:
        GenasError: ``params.yaml`` is missing or wrong, or a file that a row left is; an earlier report then stays.
    """
    params = load_params(root)
    place = root / "out" / "report"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=place.parent) as name:
        _write(params, root, Path(name))
        for made in Path(name).iterdir():  # now that all of it is there: an earlier report stays until then
            if made.is_dir():
                shutil.rmtree(place / made.name, ignore_errors=True)
            made.replace(place / made.name)
    return place / "report.html"


def _write(params: Params, root: Path, folder: Path) -> None:
    """Write every file of the report into an empty folder."""
    for name in ("pictures", "tables"):
        (folder / name).mkdir()
    name, first = params.profile, summary.first_screen(params, root, folder)
    search = [rows.searches(params, root, folder), figures.figure_4(params, root, folder)]
    search += [rows.pictured(params, root, "supernet", folder), rows.agreement(params, root, folder)]
    search.append(rows.anatomies(params, root))
    networks = [rows.pictured(params, root, "retrain", folder), figures.figure_3(params, root, folder)]
    networks += [rows.pictured(params, root, stage, folder) for stage, about in STAGES.items() if about.task]
    made = [overview.settings(params), overview.graph(params, folder), overview.data(params, root)]
    parts = [
        numbers.tables(params, root, folder),
        _section("Supernets and searches", search),
        _section("Retrained networks", networks),
        _section("The laboratory", rows.laboratories(params, root, folder)),
        _section("How it was made", made),
        provenance.rows(params, root),
    ]
    body = "\n\n".join(part for part in parts if part)
    about = f"# GeNAS, profile `{name}`\n\nThis profile is {ABOUT.get(name, OWN)}"
    text = numbered("\n\n".join([about, first, "## Contents", contents(body), body]) + "\n")
    (folder / "report.md").write_text(text)
    (folder / "report.html").write_text(html(text, f"GeNAS, profile {name}", folder))


def _section(title: str, parts: Sequence[str]) -> str:
    """Parts under a heading; nothing where there are none."""
    present = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *present]) if present else ""

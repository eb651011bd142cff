"""The report's sections that show rows: curves, searches, agreement of the measures, examples."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Params
from pipeline.drawing.rows import draw_row
from pipeline.report.page import table
from pipeline.results import records
from pipeline.results.board import number
from pipeline.stages import STAGES, Key, rows_of

TERMS = ("score", "flatness", "angle", "accuracy", "loss")
"""What a search's winner is shown by."""


def gallery(params: Params, root: Path, key: Key, folder: Path) -> list[str]:
    """Draw a row into ``pictures/<stage>/<row>`` of the report's folder; its pictures in Markdown, none where it has
    not run."""
    stage, row = key
    paths = draw_row(params, root, stage, row, folder / "pictures" / stage / row)
    return [f"![{stage} {row} {path.stem}]({path.relative_to(folder).as_posix()})" for path in paths]


def pictured(params: Params, root: Path, stage: str, folder: Path) -> str:
    """The pictures of every row of a stage under its title."""
    parts = [part for row in rows_of(params, stage) for part in gallery(params, root, (stage, row), folder)]
    return "\n\n".join([f"## {STAGES[stage].title}", *(parts or ["not run"])])


def searches(params: Params, root: Path, folder: Path) -> str:
    """What each search found, as a table, and each search drawn."""
    parts, lines = [], []
    for row in rows_of(params, "search"):
        key = ("search", row)
        winner, candidates = records.metrics(root, key), records.table(root, key, "candidates.parquet")
        if candidates is None:
            lines.append((row, "not run", *["-"] * (len(TERMS) + 1)))
            continue
        terms = [f"{winner[name]:.4g}" if name in winner else "-" for name in TERMS]
        lines.append((row, str(len(candidates)), *terms, number(winner.get("macs"), "macs")))
        parts += [f"### {row}", *gallery(params, root, key, folder)]
    return "\n\n".join(["## Searches", table(("search", "candidates", *TERMS, "MACs (M)"), lines), *parts])


def agreement(params: Params, root: Path, folder: Path) -> str:
    """The rank agreement of the measures and the error of flatness, as tables and drawn."""
    parts = [
        "## Agreement of the measures\n\nKendall's tau between measures of the same random architectures, and the "
        "standard error of flatness in percent by the number of images and of draws."
    ]
    for row in rows_of(params, "agreement"):
        key = ("agreement", row)
        tau, errors = records.table(root, key, "agreement.csv"), records.table(root, key, "errors.csv")
        if tau is None or errors is None:
            parts.append(f"### {row}\n\nnot run")
            continue
        with records.sound(root, key):
            tau, errors = tau.set_index("measure"), errors.set_index("images")
            count = int(records.metrics(root, key)["architectures"])
            agreeing = [(str(name), *(f"{value:.2f}" for value in values)) for name, values in tau.iterrows()]
            sure = [(str(images), *(f"{value:.1f}" for value in values)) for images, values in errors.iterrows()]
        parts += [
            f"### {row}, {count} architectures",
            table(("tau", *tau.columns), agreeing),
            table(("images", *(f"{draws} draws" for draws in errors.columns)), sure),
            *gallery(params, root, key, folder),
        ]
    return "\n\n".join(parts)

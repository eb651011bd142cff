"""The report's sections that show rows: curves, searches, agreement of the measures, examples,
laboratories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from genas.pipeline.config import Params
from genas.pipeline.drawing.laboratory import draw_measures, read_tables
from genas.pipeline.drawing.rows import draw_row
from genas.pipeline.report.laboratory import intervals, markdown, ranking
from genas.pipeline.report.page import folded, picture, table
from genas.pipeline.report.provenance import linked
from genas.pipeline.results import anatomy, records
from genas.pipeline.results.board import number
from genas.pipeline.stages import STAGES, Key, folder_of, rows_of

TERMS = ("score", "flatness", "angle", "accuracy", "loss")
"""What a search's winner is shown by."""


CAPTIONS = {
    "curves": "what was watched while it was trained.",
    "search": "scores by generation, and the loss of the best candidates under noise on the weights.",
    "candidates": "every candidate, by two of its readings.",
    "cell": "the cell that was found.",
    "agreement": "Kendall's tau between measures, and the standard error of flatness.",
    "detections": "true boxes, and below them what the detector predicts.",
    "segmentations": "images, labels and what the segmenter predicts.",
}
"""What a picture of a row shows, by its name."""


def gallery(params: Params, root: Path, key: Key, folder: Path) -> list[str]:
    """Draw a row into ``pictures/<stage>/<row>`` of the report's folder; its pictures in Markdown, none where it has
    not run."""
    stage, row = key
    paths = draw_row(params, root, stage, row, folder / "pictures" / stage / row)
    name = linked(root, key, records.named(key))
    return [picture(path.relative_to(folder).as_posix(), f"{name}: {CAPTIONS[path.stem]}") for path in paths]


def not_run(params: Params, keys: Sequence[Key]) -> str:
    """Rows that have left nothing, folded, with what makes them."""
    lines = "\n".join(f"- `genas run {records.named(key)} --profile {params.profile}`" for key in keys)
    return folded(f"Not run: {len(keys)}", lines)


def pictured(params: Params, root: Path, stage: str, folder: Path) -> str:
    """The pictures of every row of a stage under its title, each row's folded where there are several; nothing where
    the profile has no such rows."""
    drawn = {row: gallery(params, root, (stage, row), folder) for row in rows_of(params, stage)}
    if not drawn:
        return ""
    seen = {row: parts for row, parts in drawn.items() if parts}
    idle = [(stage, row) for row in drawn if row not in seen]
    parts = [folded(row, *pictures) if len(seen) > 1 else "\n\n".join(pictures) for row, pictures in seen.items()]
    return "\n\n".join([f"### {STAGES[stage].title}", *parts, *([not_run(params, idle)] if idle else [])])


def searches(params: Params, root: Path, folder: Path) -> str:
    """What each search found, as a table, and each search drawn."""
    parts, lines, idle = [], [], []
    for key in [(stage, row) for stage in ("search", "reseed") for row in rows_of(params, stage)]:
        winner, candidates = records.metrics(root, key), records.table(root, key, "candidates.parquet")
        if candidates is None:
            idle.append(key)
            continue
        terms = [f"{winner[name]:.4g}" if name in winner else "-" for name in TERMS]
        lines.append((linked(root, key), str(len(candidates)), *terms, number(winner.get("macs"), "macs")))
        parts.append(folded(records.named(key), *gallery(params, root, key, folder)))
    caption = (
        "What each search found: readings of its winner in the supernet. Scores of different metrics do not compare."
    )
    found = [table(("search", "candidates", *TERMS, "MACs (M)"), lines, caption)] if lines else []
    ends = [not_run(params, idle)] if idle else []
    return "\n\n".join(["### Searches", *found, *parts, *ends]) if found or ends else ""


def agreement(params: Params, root: Path, folder: Path) -> str:
    """The rank agreement of the measures and the error of flatness, as tables and drawn."""
    parts = [
        "### Agreement of the measures\n\nKendall's tau between measures of the same random architectures, and the "
        "standard error of flatness in percent by the number of images and of draws."
    ]
    idle = []
    for row in rows_of(params, "agreement"):
        key = ("agreement", row)
        tau, errors = records.table(root, key, "agreement.csv"), records.table(root, key, "errors.csv")
        if tau is None or errors is None:
            idle.append(key)
            continue
        with records.sound(root, key):
            tau, errors = tau.set_index("measure"), errors.set_index("images")
            count = int(records.metrics(root, key)["architectures"])
            agreeing = [(str(name), *(f"{value:.2f}" for value in values)) for name, values in tau.iterrows()]
            sure = [(str(images), *(f"{value:.1f}" for value in values)) for images, values in errors.iterrows()]
        name = linked(root, key)
        draws = (f"{draws} draws" for draws in errors.columns)
        parts += [
            table(("tau", *tau.columns), agreeing, f"{name}: tau between measures of {count} architectures."),
            table(("images", *draws), sure, f"{name}: standard error of flatness (%) by images and draws."),
            *gallery(params, root, key, folder),
        ]
    ends = [not_run(params, idle)] if idle else []
    return "\n\n".join(parts + ends) if len(parts) > 1 or ends else ""


def anatomies(params: Params, root: Path) -> str:
    """What the variance of a score consists of, by replicas of a supernet and by searches with seeds apart; nothing
    where the profile has neither."""
    keys = [("replica", row) for row in rows_of(params, "replica")]
    keys += [("reseed", row) for row in rows_of(params, "reseed")]
    if not keys:
        return ""
    parts = [
        "### Anatomy of a score's variance\n\nOf chance a search sees only what acts on some architectures otherwise "
        "than on others, so what moves all alike is left out. Each split has images of its own. The seed of the "
        "evolution changes which architectures are looked at and the score of none, so it has a share in that of a "
        "winner alone. Crossed designs with random effects; with few levels a share tells a size and no more."
    ]
    for dataset, found in anatomy.of_replicas(params, root).items():
        about = f"{dataset}: of the variance between architectures, the share of each (%)"
        parts.append(_anatomy(found, found.shares, about))
    winners = anatomy.of_winners(params, root)
    for name, found in winners.items():
        about = f"{name}: of the variance of the winner's score, as its search saw it, the share of each seed (%)"
        parts.append(_anatomy(found, {"winner's score": found.shares["score"]}, about))
    idle = [key for key in keys if not records.metrics(root, key)]
    return "\n\n".join([*parts, *([not_run(params, idle)] if idle else [])])


def _anatomy(found: anatomy.Anatomy, shares: Mapping[str, Mapping[str, float]], about: str) -> str:
    levels = ", ".join(f"{name} {count}" for name, count in found.levels.items())
    effects = dict.fromkeys(effect for one in shares.values() for effect in one)
    lines = [(effect, *(f"{100 * one[effect]:.1f}" for one in shares.values())) for effect in effects]
    return table(("of", *shares), lines, f"{about}; levels: {levels}.")


def judging() -> list[str]:
    """The stages of laboratories, which leave tables of how measures rank."""
    return [name for name, stage in STAGES.items() if "judgement" in stage.pictures]


def laboratories(params: Params, root: Path, folder: Path) -> list[str]:
    """Of each laboratory that has judged: how its measures rank the first truth, tau between angle and flatness beside
    the paper's, and where its page lies."""
    parts = []
    for stage in judging():
        idle = []
        for row in rows_of(params, stage):
            tables = read_tables(root / folder_of((stage, row)) / "tables")
            if not tables:
                idle.append((stage, row))
                continue
            with records.sound(root, (stage, row)):
                parts += _laboratory(root, (stage, row), tables, folder)
        parts += [not_run(params, idle)] if idle else []
    return parts


def _laboratory(root: Path, key: Key, tables: Mapping[str, pd.DataFrame], folder: Path) -> list[str]:
    stage, row = key
    name, truth = linked(root, key, records.named(key)), tables["measures"]["truth"].iloc[0]
    drawn = folder / "pictures" / stage / f"{row}.png"
    draw_measures(tables["measures"], drawn, "")
    page = f"../{stage}_report/{row}/page.html"
    parts = [
        f"### {STAGES[stage].title}: {row}",
        f"{intervals(tables['about'])} [Every table and picture]({page}) is on a page of its own.",
        picture(drawn.relative_to(folder).as_posix(), f"{name}: how well measures rank true accuracy."),
        markdown(ranking(tables["measures"], truth), f"{name}: how well measures rank the accuracy on {truth}."),
    ]
    if "table_1" in tables:
        caption = f"{name}: tau between angle and flatness; the paper's where it has supernets on this data set."
        parts.append(markdown(tables["table_1"], caption))
    return parts

"""The first screen: what was found, in sentences from the rows, with one picture and one table."""

from __future__ import annotations

from pathlib import Path

from genas.pipeline.config import Params
from genas.pipeline.drawing.bars import draw_bars
from genas.pipeline.drawing.laboratory import read_tables
from genas.pipeline.report.numbers import every
from genas.pipeline.report.page import picture
from genas.pipeline.report.provenance import linked
from genas.pipeline.report.rows import judging, not_run
from genas.pipeline.results import records
from genas.pipeline.results.board import COLUMNS, COST, Board, by_dataset, heading, leaderboard, number
from genas.pipeline.results.seeds import repeated
from genas.pipeline.stages import STAGES, Key, folder_of
from genas.pipeline.stages.graph import graph

MOST = 8
"""Networks on the first screen."""
SHOWN = ("params", "top1", "v2_top1", "ap", "miou")
"""Columns of its table, those that some network has."""


def first_screen(params: Params, root: Path, folder: Path) -> str:
    """The section; without a retrained network only how far the profile has come."""
    board = {row: values for row, values in leaderboard(params, root).items() if "top1" in values}
    parts = ["## What was found", *_sentences(params, root, board)]
    if board:
        dataset, networks = next(iter(by_dataset(params, board).items()))
        best = dict(sorted(networks.items(), key=lambda item: -item[1]["top1"])[:MOST])
        draw_bars({COLUMNS["top1"]: {row: found["top1"] for row, found in best.items()}}, folder / "pictures/first.png")
        columns = [name for name in SHOWN if any(name in found for found in best.values())]
        some = f"The {len(best)} best of {len(networks)} retrained" if len(best) < len(networks) else "Retrained"
        parts.append(picture("pictures/first.png", f"{some} networks by top-1 on {dataset} (%)."))
        parts.append(every(params, root, best, columns, f"{some} networks, best first."))
    return "\n\n".join(parts)


def _sentences(params: Params, root: Path, board: Board) -> list[str]:
    lines = [*_networks(params, root, board), *_judges(root, board), *_agreement(params, root)]
    lines += _laboratories(params, root)
    lines.append(_seeds(params, board) if board else "No network has been retrained yet.")
    return ["\n".join(f"- {line}" for line in lines), *progress(params, root)]


def _networks(params: Params, root: Path, board: Board) -> list[str]:
    """The best of each size, as networks of one size, data set and recipe are what can be compared."""
    sizes: dict[tuple[int, int, str, str], list[str]] = {}
    for row in sorted(board, key=lambda row: -board[row]["top1"]):
        settings = params.rows[row]
        sizes.setdefault((settings.layers, settings.image_size, settings.dataset, settings.recipe), []).append(row)
    lines = []
    for (layers, pixels, dataset, recipe), rows in sorted(sizes.items(), key=lambda item: -len(item[1])):
        about = f"{layers} cells, {pixels} pixels of {dataset}, recipe {recipe}"
        told = [f"{linked(root, ('retrain', row))} with {number(board[row]['top1'], 'top1')} %" for row in rows[:3]]
        if len(rows) > 1:
            lines.append(f"Of {len(rows)} networks of one size ({about}) the best by top-1 is {', then '.join(told)}.")
        else:
            lines.append(f"Alone in its size ({about}) is {told[0]} top-1.")
    return lines


def _judges(root: Path, board: Board) -> list[str]:
    """Who is best by each other thing that judges networks, and what judged one network alone."""
    several: list[str] = []
    alone: list[str] = []
    for name in COLUMNS:
        known = {row: values[name] for row, values in board.items() if name in values}
        if known and name not in (*COST, "top1", "best_top1", "top5"):
            row = max(known, key=lambda row: known[row])
            told = f"{heading(name)} {number(known[row], name)} ({linked(root, ('retrain', row))})"
            (several if len(known) > 1 else alone).append(told)
    lines = [f"The best by other judges: {', '.join(several)}."] if several else []
    return lines + ([f"Measured of one network alone: {', '.join(alone)}."] if alone else [])


def _agreement(params: Params, root: Path) -> list[str]:
    lines = []
    for row in STAGES["agreement"].rows(params):
        found = records.metrics(root, ("agreement", row))
        prefix = "tau_flatness_"
        taus = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
        if taus:
            ordered = sorted(taus.items(), key=lambda item: -abs(item[1]))
            told = ", ".join(f"{heading(name).removesuffix(' (M)')} {value:.2f}" for name, value in ordered)
            where = linked(root, ("agreement", row))
            count = f"{found.get('architectures', 0):.0f} random architectures ({where})"
            lines.append(f"Kendall's tau between flatness and other measures of {count}: {told}.")
    return lines


def _laboratories(params: Params, root: Path) -> list[str]:
    """Which measure ranks a benchmark's accuracies best, and where flatness stands."""
    lines = []
    for key in [(stage, row) for stage in judging() for row in STAGES[stage].rows(params)]:
        tables = read_tables(root / folder_of(key) / "tables")
        if "measures" in tables:
            with records.sound(root, key):
                known = tables["measures"][tables["measures"]["statistic"] == "tau"]
                truth = known["truth"].iloc[0]
                taus = known[known["truth"] == truth].set_index("measure")["value"].sort_values(ascending=False)
                place = list(taus.index).index("flatness") + 1
                lines.append(
                    f"Of {len(taus)} measures in {linked(root, key, records.named(key))}, {taus.index[0]} ranks the "
                    f"accuracy on {truth} best (tau {taus.iloc[0]:.3f}); flatness is number {place} "
                    f"(tau {taus['flatness']:.3f})."
                )
    return lines


def _seeds(params: Params, board: Board) -> str:
    several = repeated(params, board)
    if not several:
        return "Every row has one seed: how far a number spreads over seeds is not known here."
    ran = f"{len(several)} networks have" if len(several) > 1 else "One network has"
    return f"{ran} run with several seeds; [their spread](#over-seeds) is below."


def progress(params: Params, root: Path) -> list[str]:
    """How many rows have run, and, folded, which have not."""
    nodes = [key for key in graph(params) if STAGES[key[0]].reported]
    idle = [key for key in nodes if not _ran(root, key)]
    done = f"{len(nodes) - len(idle)} of {len(nodes)} rows of this profile have run."
    if not idle:
        return [f"All {len(nodes)} rows of this profile have run."]
    return [done, not_run(params, idle)]


def _ran(root: Path, key: Key) -> bool:
    return any((root / folder_of(key) / name).exists() for name in ("metrics.json", "manifest.json", "page.md"))

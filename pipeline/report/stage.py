"""The report of a profile: the paper's tables with our numbers beside theirs, curves, cells, pictures, times.

Reads ``params.yaml`` and ``out/`` alone and writes ``report.md`` with its pictures, and ``report.html`` in one file.
The same inputs give the same bytes.
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import markdown
import pandas as pd

from models.spaces.darts.genotype import Genotype
from pipeline.config import MetricParams, Params, load_params
from pipeline.context import Context
from pipeline.drawing import pictures
from pipeline.report import comparison
from pipeline.results import board as results
from pipeline.results import records
from pipeline.results.board import COLUMNS, columns_of, number

SHOWN = 4
"""Pictures of detections or segmentations shown of one row."""

DIFFERENT = (
    "Data, sizes and lengths differ from the paper's, so **the numbers cannot be compared with the paper's**, "
    "which stand beside them for orientation only."
)
ABOUT = {
    "paper": "the paper's own experiment: its data sets, its recipes.",
    "mini": f"the paper's chain on small real data. {DIFFERENT}",
    "demo": f"the paper's chain in minutes, on data that come with the software. {DIFFERENT}",
}
OWN = "a profile of your own: **its numbers are the paper's only where data and settings are**."

STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2rem auto; padding: 0 1.2rem; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.4rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #e4e4e4; text-align: left; white-space: nowrap; }
th { background: #f6f6f6; } tr:hover td { background: #fafafa; }
img { max-width: 100%; } code { background: #f4f4f4; padding: .1rem .3rem; border-radius: 3px; }
"""


def run(context: Context) -> None:
    """The stage: see :func:`build`."""
    build(context.root)


def build(root: Path) -> Path:
    """Write ``out/report/report.md``, ``report.html``, ``pictures/`` and ``tables/*.csv``; returns the page's path.

    Raises:
        GenasError: ``params.yaml`` is missing or wrong, or a genotype file is.
    """
    params = load_params(root)
    folder = root / "out" / "report"
    for name in ("pictures", "tables"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    parts = [
        f"# GeNAS, profile `{params.profile}`",
        f"This profile is {ABOUT.get(params.profile, OWN)}",
        _settings(params),
        _graph(params, folder),
        _data(params, root),
        _tables(params, root, folder),
        _curves(root, params, "supernet", folder),
        _searches(root, params, folder),
        _agreement(root, params, folder),
        _curves(root, params, "retrain", folder),
        _examples(root, params, folder),
        _times(root, params),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "report.md").write_text(text)
    page = folder / "report.html"
    page.write_text(_html(text, f"GeNAS, profile {params.profile}", folder))
    return page


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _html(text: str, title: str, folder: Path) -> str:
    """The page: the Markdown rendered, its pictures inside it."""
    body = markdown.markdown(text, extensions=["tables"])

    def embed(found: re.Match[str]) -> str:
        return f'src="data:image/png;base64,{base64.b64encode((folder / found[1]).read_bytes()).decode()}"'

    body = re.sub(r'src="(pictures/[^"]+)"', embed, body)
    start = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
    return f"{start}<style>{STYLE}</style>\n{body}\n</html>\n"


def _settings(params: Params) -> str:
    s, e, m = params.supernet, params.search, params.measures
    recipes = (
        f"{name}: {r.epochs} epochs, batch {r.batch_size}, {r.optimizer}, {r.preprocessing} preprocessing"
        for name, r in params.recipes.items()
    )
    lines = [
        ("supernet", f"{s.layers} cells, {s.channels} channels, {s.epochs} epochs, batch {s.batch_size}"),
        ("search", f"{e.generations} generations of {e.population}, {m.images} images a candidate"),
        ("flatness", f"sigma {list(m.flatness.sigma)}, alpha {m.flatness.alpha:g}, {m.flatness.noise} noise"),
        (
            "metrics",
            "; ".join(f"{name}: {_formula(metric)}" for name, metric in params.metrics.items()),
        ),
        ("retraining", f"on {params.retrain.dataset}; {'; '.join(recipes)}"),
        ("detection", f"on {params.detect.dataset}, {params.detect.base}"),
        ("segmentation", f"on {params.segment.dataset}, {params.segment.base}"),
    ]
    return "## Settings\n\n" + table(("stage", "what it does here"), lines)


def _formula(metric: MetricParams) -> str:
    """``1 angle + 16 flatness``, and what is unusual about it."""
    unusual = [metric.combine] * (metric.combine != "sum") + [metric.strategy] * (metric.strategy != "evolution")
    return " + ".join(f"{weight:g} {name}" for name, weight in metric.terms.items()) + "".join(
        f" ({u})" for u in unusual
    )


def _graph(params: Params, folder: Path) -> str:
    nodes = [node for node in records.graph(params).values() if node.stage != "report"]
    edges = [(f"{s}@{r}", f"{node.stage}@{node.row}") for node in nodes for s, r in node.inputs]
    columns = {stage: rows for stage, rows in params.stage_rows().items() if rows}
    pictures.draw_dag(columns, edges, folder / "pictures" / "graph.png")
    return "## The graph\n\nWhat reads what; every box is a stage's row.\n\n![graph](pictures/graph.png)"


def _data(params: Params, root: Path) -> str:
    lines = []
    for name, settings in params.data.items():
        found = records.manifest(root, name)
        counts = ", ".join(f"{split} {count}" for split, count in found.get("splits", {}).items())
        digest = f"`{str(found['digest'])[:16]}`" if found else "not run"
        lines.append(
            (name, settings.layout, digest, counts or "-", str(len(found.get("classes", []))) if found else "-")
        )
    return "## Data\n\n" + table(("data set", "layout", "digest", "images", "classes"), lines)


def _tables(params: Params, root: Path, folder: Path) -> str:
    board = results.leaderboard(params, root)
    parts = [
        "## Results\n\nEvery number is *ours (the paper's)*; MACs are what the paper calls FLOPs; accuracies in %."
    ]
    if board:
        columns = columns_of(board)
        headings = ("row", "cell", *columns.values())
        cells = [(row, params.rows[row].cell, *(number(v.get(c), c) for c in columns)) for row, v in board.items()]
        parts.append("### Every retrained network\n\n" + table(headings, cells))
        bars = {
            COLUMNS[c]: {row: v[c] for row, v in board.items() if c in v} for c in ("top1", "v2_top1", "ap", "miou")
        }
        bars = {name: panel for name, panel in bars.items() if panel}
        pictures.draw_bars(bars, folder / "pictures" / "results.png", "retrained networks")
        parts.append("![results](pictures/results.png)")
    found = comparison.tables(params, root, board)
    (folder / "tables").mkdir()
    for name, frame in found.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=False)
    for name, (title, _, compared) in comparison.TABLES.items():
        parts.append(f"### {title}\n\n" + _compare(found[name], compared))
    parts += [*_whole(params, root), "### Table 8: gamma\n\n" + _gammas(found["table8"])]
    return "\n\n".join(parts)


def _paired(line: Mapping[Any, Any], columns: Sequence[str]) -> list[str]:
    """``ours (the paper's)`` for each column."""

    def shown(name: str, column: str) -> str:
        return number(None if pd.isna(line[name]) else line[name], column)

    return [f"{shown(c, c)} ({shown(f'paper_{c}', c)})" for c in columns]


def _compare(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    rows = []
    for line in frame.to_dict("records"):
        ours = f"{line['row']} from {line['cell']}" if line["row"] else ""
        state = ", ".join(text for text in (ours, line["state"]) if text)
        rows.append((line["searched_on"], line["method"], state, *_paired(line, columns)))
    return table(("searched on", "in the paper", "our row", *(COLUMNS[c] for c in columns)), rows)


def _whole(params: Params, root: Path) -> list[str]:
    """What Table 4 leaves out: the cost of whole detectors and segmenters, and their other measures."""
    parts = []
    for stage, title in (("detect", "Whole detectors"), ("segment", "Whole segmenters")):
        columns = results.TRANSFER[stage]
        found = {row: records.metrics(root, (stage, row)) for row in params.stage_rows()[stage]}
        lines = [(row, *(number(values.get(c), c) for c in columns)) for row, values in found.items() if values]
        parts.append(f"#### {title}\n\n" + (table(("row", *columns.values()), lines) if lines else "not run"))
    return parts


def _gammas(frame: pd.DataFrame) -> str:
    rows = [
        (line["search"], f"{line['gamma']:g}", line["row"] or "not retrained", *_paired(line, comparison.GAMMA_COLUMNS))
        for line in frame.to_dict("records")
    ]
    return table(("candidates of", "gamma", "retrained as", "flatness (%)", "top-1", "top-5"), rows)


def _agreement(root: Path, params: Params, folder: Path) -> str:
    parts = [
        "## Agreement of the measures\n\nKendall's tau between measures of the same random architectures, and the "
        "standard error of flatness in percent by the number of images and of draws."
    ]
    for row in params.stage_rows()["agreement"]:
        key = ("agreement", row)
        tau, errors = records.table(root, key, "agreement.csv"), records.table(root, key, "errors.csv")
        if tau is None or errors is None:
            parts.append(f"### {row}\n\nnot run")
            continue
        tau, errors = tau.set_index("measure"), errors.set_index("images")
        name = f"pictures/agreement-{row}.png"
        pictures.draw_agreement(tau, errors.rename(columns=int), folder / name, row)
        count = int(records.metrics(root, key)["architectures"])
        agreeing = [(str(one), *(f"{value:.2f}" for value in values)) for one, values in tau.iterrows()]
        sure = [(str(one), *(f"{value:.1f}" for value in values)) for one, values in errors.iterrows()]
        parts += [
            f"### {row}, {count} architectures",
            table(("tau", *tau.columns), agreeing),
            table(("images", *(f"{draws} draws" for draws in errors.columns)), sure),
            f"![agreement {row}]({name})",
        ]
    return "\n\n".join(parts)


def _curves(root: Path, params: Params, stage: str, folder: Path) -> str:
    parts = []
    for row in params.stage_rows()[stage]:
        history = records.table(root, (stage, row), "history.csv")
        if history is not None and len(history):
            step, *columns = [str(name) for name in history.columns]
            name = f"pictures/{stage}-{row}.png"
            pictures.draw_curves(history, step, columns[:4], folder / name, f"{stage}@{row}")
            parts.append(f"![{stage} {row}]({name})")
    title = {"supernet": "Supernets", "retrain": "Retraining"}[stage]
    return f"## {title}\n\n" + ("\n\n".join(parts) or "not run")


def _searches(root: Path, params: Params, folder: Path) -> str:
    parts, lines = [], []
    for row in params.stage_rows()["search"]:
        key, found = ("search", row), records.metrics(root, ("search", row))
        history, candidates = records.table(root, key, "history.csv"), records.table(root, key, "candidates.parquet")
        if history is None or candidates is None:
            lines.append((row, "not run", *["-"] * 6))
            continue
        terms = [
            f"{found[name]:.4g}" if name in found else "-"
            for name in ("score", "flatness", "angle", "accuracy", "loss")
        ]
        lines.append((row, str(len(candidates)), *terms, number(found.get("macs"), "macs")))
        parts.append(f"### {row}")
        name = f"pictures/search-{row}"
        losses = pictures.finalist_losses(candidates, params.measures.flatness.sigma)
        pictures.draw_search(history, folder / f"{name}.png", row, losses)
        parts.append(f"![search {row}]({name}.png)")
        measured = [m for m in ("flatness", "accuracy", "angle", "loss_0", "params", "macs") if m in candidates]
        x, y = measured[:2] if len(measured) > 1 else ("generation", "score")
        pictures.draw_scatter(candidates, x, y, folder / f"{name}-candidates.png", f"{row}: every candidate")
        parts.append(f"![candidates {row}]({name}-candidates.png)")
        genotype = Genotype.load(root / "out" / "search" / row / "genotype.json")
        pictures.draw_genotype(genotype, folder / f"{name}-cell.png", row)
        parts.append(f"![cell {row}]({name}-cell.png)")
    headings = ("search", "candidates", "score", "flatness", "angle", "accuracy", "loss", "MACs (M)")
    return "\n\n".join(["## Searches", table(headings, lines), *parts])


def _examples(root: Path, params: Params, folder: Path) -> str:
    parts = []
    for stage, title in (("detect", "Detections"), ("segment", "Segmentations")):
        parts.append(f"## {title}")
        shown = len(parts)
        for row in params.stage_rows()[stage]:
            for i, path in enumerate(sorted((root / "out" / stage / row).rglob("*.png"))[:SHOWN]):
                name = f"pictures/{stage}-{row}-{i}.png"
                shutil.copyfile(path, folder / name)
                parts.append(f"![{stage} {row} {path.stem}]({name})")
        if len(parts) == shown:
            parts.append("not run")
    return "\n\n".join(parts)


def _times(root: Path, params: Params) -> str:
    lines = []
    for stage, rows in params.stage_rows().items():
        for row in rows:
            found = records.timing(root, (stage, row))
            if found:
                lines.append((f"{stage}@{row}", f"{found['seconds']:.1f}", str(found["device"])))
    return "## Time\n\n" + table(("row", "seconds", "device"), lines)

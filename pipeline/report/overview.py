"""What the report says of a profile as such: settings, graph, data."""

from __future__ import annotations

from pathlib import Path

from genas.pipeline.config import DetectParams, MetricParams, Params
from genas.pipeline.drawing.graph import draw_graph
from genas.pipeline.report.page import picture, table
from genas.pipeline.results import records
from genas.pipeline.stages import STAGES
from genas.pipeline.stages.graph import graph as rows_of_profile


def settings(params: Params) -> str:
    """What each stage does here."""
    m = params.measures
    recipes = (
        f"{name}: {r.epochs} epochs, batch {r.batch_size}, {r.optimizer}, {r.preprocessing} preprocessing"
        for name, r in params.recipes.items()
    )
    lines = [
        *(
            (f"supernet on {name}", f"{s.layers} cells, {s.channels} channels, {s.epochs} epochs, batch {s.batch_size}")
            for name, s in params.supernet.items()
        ),
        *(
            (f"search on {name}", f"{e.generations} generations of {e.population}, {m.images} images a candidate")
            for name, e in params.search.items()
        ),
    ]
    if m is not None:
        lines.append(
            ("flatness", f"sigma {list(m.flatness.sigma)}, alpha {m.flatness.alpha:g}, {m.flatness.noise} noise")
        )
    lines.append(("metrics", "; ".join(f"{name}: {_formula(metric)}" for name, metric in params.metrics.items())))
    if params.rows:
        datasets = dict.fromkeys(row.dataset for row in params.rows.values())
        lines.append(("retraining", f"on {', '.join(datasets)}; {'; '.join(recipes)}"))
    for title, task in (("detection", params.detect), ("segmentation", params.segment)):
        if task is not None:
            some = isinstance(task, DetectParams) and task.categories
            which = f" ({', '.join(some)} alone)" if some else ""
            lines.append((title, f"on {task.dataset}{which}, {task.base}"))
    return "### Settings\n\n" + table(("stage", "what it does here"), lines, "What each stage does in this profile.")


def _formula(metric: MetricParams) -> str:
    """``1 angle + 16 flatness``, and what is unusual about it."""
    unusual = [metric.combine] * (metric.combine != "sum") + [metric.strategy] * (metric.strategy != "evolution")
    return " + ".join(f"{weight:g} {name}" for name, weight in metric.terms.items()) + "".join(
        f" ({u})" for u in unusual
    )


def graph(params: Params, folder: Path) -> str:
    """The graph of rows as a picture, coloured by the phases of the chain."""
    reported = {key: node for key, node in rows_of_profile(params).items() if STAGES[key[0]].reported}
    inputs = {key: [read for read in node.inputs if read in reported] for key, node in reported.items()}
    draw_graph(inputs, {name: stage.phase for name, stage in STAGES.items()}, folder / "pictures" / "graph.png")
    shown = picture("pictures/graph.png", "What reads what; every box is a row of a stage.")
    return f"### The graph\n\n{shown}"


def data(params: Params, root: Path) -> str:
    """Each data set with its digest and its sizes."""
    lines = []
    for name, about in params.data.items():
        found = records.manifest(root, name)
        with records.sound(root, ("data", name)):
            counts = ", ".join(f"{split} {count}" for split, count in found.get("splits", {}).items())
            digest = f"`{str(found['digest'])[:16]}`" if found else "not run"
            classes = str(len(found.get("classes", []))) if found else "-"
        lines.append((name, about.layout, digest, counts or "-", classes))
    headings = ("data set", "layout", "digest", "images", "classes")
    return "### Data\n\n" + table(headings, lines, "The data sets of this profile.")

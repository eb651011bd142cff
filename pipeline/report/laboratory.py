"""The stages ``laboratory_report`` and ``laboratory301_report``: the tables of a laboratory, and their pictures, on one
page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from pipeline.context import Context
from pipeline.drawing.laboratory import draw_laboratory, read_tables
from pipeline.report.page import table as as_table

RANKING, TOP = ("tau", "tau of the best tenth", "spearman"), ("precision", "nDCG", "pick", "regret")
"""Statistics of the measures: over all architectures, and of what a search would pick."""
SECTIONS = {
    "tried": "How many scores were tried, and what the best of as many reaches by chance",
    "conditional": "Does a measure add to validation loss, parameters and multiply-adds? Partial tau given all three "
    "(of a Gaussian copula), and tau over pairs of architectures with equal multiply-adds",
    "fitted": "Does a measure add to validation loss and parameters with fitted weights? Tau of regressions on ranks, "
    "each architecture ranked by weights fitted without its fold",
    "differences": "Difference in tau between a measure and the number of parameters, and the validation loss",
    "generalisation": "Does flatness foretell generalisation beyond clean accuracy? Tau with accuracy under attack, "
    "with the gap from validation to test, and with how ranks change between data sets",
    "protocols": "The same scores on different sets of architectures: tau, mean ± standard deviation over supernets",
    "forests": "Random forests on graph features, fitted to the accuracies of so many trained networks: tau and pick "
    "on architectures that compute nothing that a labelled one does",
    "space": "How well measures rank all 15,625 architectures, each measured in the supernet",
    "zero_cost": "Our values of zero-cost measures beside those of NAS-Bench-Suite-Zero: tau between the two",
    "opponents": "Measures that other people took of the same architectures, from the benchmark's table: tau",
    "walks": "Searches on tabulated scores: mean true accuracy (%) of the architecture with the highest score, by how "
    "it was searched for",
    "training_length": "How well measures rank by the epochs that the supernets were trained for: tau",
    "table_1": "Table 1: tau between angle and flatness",
    "table_5": "Table 5: tau between flatness and accuracy, by the set of sigmas",
    "table_6": "Table 6: tau between flatness and accuracy, by alpha",
    "table_7": "Table 7: tau between flatness and accuracy, by where noise acts and where it points",
    "searched": "Sums (&) and products (*) of the ranks by up to three readings: the best thirty, on the search half",
    "judged": "The best of these and every measure on the judging half, of other architectures and supernets",
    "margins": "By how much the best of these is above every measure in tau, on the judging half",
}
"""Tables by name and what they are called, in the order of the page; one that was not left is passed over."""
DRAWN = ("table_6", "generalisation", "walks", "training_length")
"""Those with a picture of their name."""


def _number(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}"
    return str(value)


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """An estimate's four columns as one: value [low, high] ± spread."""
    if not {"value", "low", "high"} <= set(table.columns):
        return table
    text = [f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in table.itertuples()]
    if "spread" in table:
        text = [f"{estimate} ± {spread:.3f}" for estimate, spread in zip(text, table["spread"], strict=True)]
    place = list(table.columns).index("value")
    rest = table.drop(columns=["value", "low", "high", "spread"], errors="ignore")
    rest.insert(place, "estimate", text)
    return rest


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, numbers to three digits."""
    shown = _merged(table)
    rows = [[_number(value) for value in row] for row in shown.itertuples(index=False)]
    return as_table([str(name) for name in shown.columns], rows)


def by_statistic(table: pd.DataFrame, statistics: Sequence[str], name: str = "measure") -> pd.DataFrame:
    """A row for each measure, best first by the first statistic, and a column for each statistic."""
    wide = _merged(table).pivot(index=name, columns="statistic", values="estimate")
    wide = wide.reindex(columns=list(statistics)).astype(object).fillna("")
    order = table[table["statistic"] == statistics[0]].sort_values("value", ascending=False, kind="stable")[name]
    return wide.loc[order].reset_index()


def _measures(table: pd.DataFrame) -> list[str]:
    parts = []
    for truth, own in table.groupby("truth", sort=False):
        ranking = by_statistic(own, RANKING)
        reported = own[own["statistic"] == "tau"].set_index("measure")["reported"]
        ranking["reported tau"] = reported.loc[ranking["measure"]].to_numpy()
        parts += [f"## How well measures rank the accuracy on {truth}", markdown(ranking)]
        top = by_statistic(own, ("tau", *TOP)).drop(columns="tau")
        parts += [f"## What is at the top by each measure, accuracy on {truth}", markdown(top)]
    return parts


def _by_truth(table: pd.DataFrame, statistics: Sequence[str], name: str = "measure") -> list[str]:
    parts = []
    for truth, own in table.groupby("truth", sort=False):
        own = own.assign(**{name: own[name].astype(object).fillna("(none)")})
        parts += [f"### Accuracy on {truth}", markdown(by_statistic(own, statistics, name))]
    return parts


def _generalisation(table: pd.DataFrame) -> list[str]:
    asked = table[table["statistic"] == "partial tau"]
    clear = int(((asked["low"] > 0) | (asked["high"] < 0)).sum())
    parts = [
        "Partial tau is that at equal clean accuracy, parameters and validation loss. By chance one interval in twenty "
        f"excludes zero, here that is {len(asked) / 20:.0f} of {len(asked)}; {clear} do."
    ]
    for statistic in ("partial tau", "tau"):
        own = _merged(table[table["statistic"] == statistic])
        wide = own.pivot(index=["kind", "truth"], columns="measure", values="estimate")
        rows = pd.MultiIndex.from_frame(own[["kind", "truth"]].drop_duplicates())
        wide = wide.loc[rows, list(own["measure"].unique())].reset_index()
        parts += [f"### {statistic.capitalize()}", markdown(wide)]
    return parts


def _protocols(table: pd.DataFrame) -> list[str]:
    parts = []
    for (group, truth), own in table.groupby(["architectures of", "truth"], sort=False):
        varied = zip(own["tau"], own["spread"], strict=True)
        text = [f"{tau:.3f}" + (f" ± {spread:.3f}" if spread > 5e-4 else "") for tau, spread in varied]
        columns = [f"{row.protocol} ({row.architectures})" for row in own.itertuples()]
        own = own.assign(text=text, column=columns)
        wide = own.pivot(index="score", columns="column", values="text").astype(object).fillna("")
        wide = wide.loc[list(own["score"].unique()), list(dict.fromkeys(columns))].reset_index()
        parts += [f"### Architectures: {group}; accuracy on {truth}", markdown(wide)]
    return parts


def _walks(table: pd.DataFrame) -> list[str]:
    parts = []
    for group, own in table.groupby("architectures of", sort=False):
        last = own[own["evaluations"] == own["evaluations"].max()]
        text = [f"{row.accuracy:.2f} ± {row.spread:.2f}" for row in last.itertuples()]
        wide = last.assign(text=text).pivot(index="score", columns="strategy", values="text")
        wide = wide.loc[list(last["score"].unique()), list(last["strategy"].unique())].reset_index()
        end, best = last["evaluations"].iloc[0], last["best"].iloc[0]
        parts += [f"### Architectures: {group}; after {end} evaluations, the best there is {best:.2f}", markdown(wide)]
    return parts


def _by_length(table: pd.DataFrame) -> list[str]:
    parts = []
    for truth, own in table.groupby("truth", sort=False):
        wide = _merged(own).pivot(index="measure", columns="epochs", values="estimate")
        last = own[own["epochs"] == own["epochs"].max()].sort_values("value", ascending=False, kind="stable")
        parts += [f"### Accuracy on {truth}", markdown(wide.loc[last["measure"]].reset_index())]
    return parts


LAID: dict[str, Callable[[pd.DataFrame], list[str]]] = {
    "conditional": lambda table: _by_truth(table, ("tau", "partial tau", "tau at equal MACs")),
    "fitted": lambda table: _by_truth(table, ("tau", "gain"), "added"),
    "generalisation": _generalisation,
    "judged": lambda table: _by_truth(table, ("tau", "tau of the best tenth", "pick"), "score"),
    "protocols": _protocols,
    "space": lambda table: _by_truth(table, ("tau", "tau of the best tenth", *TOP)),
    "training_length": _by_length,
    "walks": _walks,
}
"""How tables are laid out that are not shown row by row."""


def intervals(about: pd.DataFrame) -> str:
    """What the intervals on the page hold."""
    count = about.set_index("what")["count"]
    text = f"{count['architectures']} architectures, {count['distinct architectures']} of them distinct. "
    if count["supernets"] == 1:
        return text + "One supernet: intervals of 95 % are over architectures only, and say nothing of another seed."
    return text + (
        f"Estimates are means over {count['supernets']} supernets [95 % interval over supernet seeds and "
        "architectures] ± standard deviation over supernets. What needs no supernet has an interval over architectures "
        "alone."
    )


def page(benchmark: str, supernets: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """The page of supernets that were judged together; its pictures lie beside it.

    Args:
        benchmark: what they are judged by.
        supernets: what they were trained on and how.
        tables: the laboratory's.
    """
    parts = [
        f"# {benchmark}, supernets on {supernets}",
        intervals(tables["about"]),
        "![](measures.png)",
        "![](scatter.png)",
        "![](figure_2.png)",
        *_measures(tables["measures"]),
    ]
    for name, title in SECTIONS.items():
        if name in tables:
            laid = LAID[name](tables[name]) if name in LAID else [markdown(tables[name])]
            parts += [f"## {title}", *([f"![]({name}.png)"] if name in DRAWN else []), *laid]
    return "\n\n".join(parts) + "\n"


def run(context: Context) -> None:
    """Show what ``laboratory`` or ``laboratory301`` found in a row of the same name; leaves ``page.md`` and its
    pictures."""
    judged, recipe = context.stage.removesuffix("_report"), context.axes.get("recipe")
    supernets = context.axes["dataset"] + (f" (recipe {recipe})" if recipe else "")
    tables = read_tables(context.output_of(judged, context.row) / "tables")
    draw_laboratory(tables, supernets, context.out)
    benchmark = "NAS-Bench-201" if recipe else "NAS-Bench-301 (the truth is a surrogate's)"
    (context.out / "page.md").write_text(page(benchmark, supernets, tables))

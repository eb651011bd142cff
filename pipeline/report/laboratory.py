"""The stages ``laboratory_report`` and ``laboratory301_report``: the tables of a laboratory, and their pictures, on one
page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from genas.pipeline.context import Context
from genas.pipeline.drawing.laboratory import draw_laboratory, read_tables
from genas.pipeline.report.html import html
from genas.pipeline.report.page import numbered, picture
from genas.pipeline.report.page import table as as_table

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
FIRST = {
    "measures": "How well measures rank true accuracy.",
    "scatter": "Architectures by parameters, validation loss and flatness.",
    "figure_2": "Loss under noise of the best, middle and worst architectures.",
}
"""Pictures at the top, and what they show."""
REPORTED = ("paper", "reported tau")
"""Columns of what others report; they are known where supernets were trained on the data set whose accuracy they rank,
as theirs were (:func:`genas.pipeline.laboratory.tables.own`)."""
DRAWN = ("table_6", "generalisation", "walks", "training_length")
"""Those with a picture of their name."""


def _number(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3f}"
    return str(value)


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """An estimate's four columns as one: value [low, high], and ± spread where there is any."""
    if not {"value", "low", "high"} <= set(table.columns):
        return table
    text = [f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in table.itertuples()]
    if "spread" in table and (table["spread"] > 0).any():
        text = [f"{estimate} ± {spread:.3f}" for estimate, spread in zip(text, table["spread"], strict=True)]
    place = list(table.columns).index("value")
    rest = table.drop(columns=["value", "low", "high", "spread"], errors="ignore")
    rest.insert(place, "estimate", text)
    return rest


def markdown(table: pd.DataFrame, caption: str = "") -> str:
    """A table as Markdown, numbers to three digits; the paper's column is left out where it is empty."""
    shown = _merged(table)
    shown = shown.drop(columns=[name for name in REPORTED if name in shown and shown[name].isna().all()])
    rows = [[_number(value) for value in row] for row in shown.itertuples(index=False)]
    return as_table([str(name) for name in shown.columns], rows, caption)


def _bold(table: pd.DataFrame, texts: pd.Series[str]) -> pd.Series[str]:
    """The estimates, those in bold that are the best of their statistic."""
    groups = table.groupby("statistic")["value"]
    best = groups.transform("max").where(table["statistic"] != "regret", groups.transform("min"))
    choice = groups.transform("nunique") > 1
    return texts.where((table["value"] != best) | ~choice, "**" + texts + "**")


def by_statistic(table: pd.DataFrame, statistics: Sequence[str], name: str = "measure") -> pd.DataFrame:
    """A row for each measure, best first by the first statistic, and a column for each statistic."""
    merged = _merged(table)
    merged["estimate"] = _bold(table, merged["estimate"])
    wide = merged.pivot(index=name, columns="statistic", values="estimate")
    wide = wide.reindex(columns=list(statistics)).astype(object).fillna("")
    order = table[table["statistic"] == statistics[0]].sort_values("value", ascending=False, kind="stable")[name]
    return wide.loc[order].reset_index()


def ranking(table: pd.DataFrame, truth: str) -> pd.DataFrame:
    """How well each measure ranks a truth, and what others report of tau."""
    own = table[table["truth"] == truth]
    found = by_statistic(own, RANKING)
    reported = own[own["statistic"] == "tau"].set_index("measure")["reported"]
    found["reported tau"] = reported.loc[found["measure"]].to_numpy()
    return found


def _measures(table: pd.DataFrame) -> list[str]:
    parts = []
    for truth, own in table.groupby("truth", sort=False):
        about = f"How well measures rank the accuracy on {truth}"
        parts += [f"## {about}", markdown(ranking(table, str(truth)), f"{about}.")]
        top = by_statistic(own, ("tau", *TOP)).drop(columns="tau")
        about = f"What is at the top by each measure, accuracy on {truth}"
        parts += [f"## {about}", markdown(top, f"{about}.")]
    return parts


def _by_truth(table: pd.DataFrame, statistics: Sequence[str], name: str = "measure") -> list[str]:
    parts = []
    for truth, own in table.groupby("truth", sort=False):
        own = own.assign(**{name: own[name].astype(object).fillna("(none)")})
        parts.append(markdown(by_statistic(own, statistics, name), f"Accuracy on {truth}."))
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
        parts.append(markdown(wide, f"{statistic.capitalize()}."))
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
        parts.append(markdown(wide, f"Architectures: {group}; accuracy on {truth}."))
    return parts


def _walks(table: pd.DataFrame) -> list[str]:
    parts = []
    for group, own in table.groupby("architectures of", sort=False):
        last = own[own["evaluations"] == own["evaluations"].max()]
        text = [f"{row.accuracy:.2f} ± {row.spread:.2f}" for row in last.itertuples()]
        wide = last.assign(text=text).pivot(index="score", columns="strategy", values="text")
        wide = wide.loc[list(last["score"].unique()), list(last["strategy"].unique())].reset_index()
        end, best = last["evaluations"].iloc[0], last["best"].iloc[0]
        caption = f"Architectures: {group}; after {end} evaluations, the best there is {best:.2f}."
        parts.append(markdown(wide, caption))
    return parts


def _by_length(table: pd.DataFrame) -> list[str]:
    parts = []
    for truth, own in table.groupby("truth", sort=False):
        wide = _merged(own).pivot(index="measure", columns="epochs", values="estimate")
        last = own[own["epochs"] == own["epochs"].max()].sort_values("value", ascending=False, kind="stable")
        parts.append(markdown(wide.loc[last["measure"]].reset_index(), f"Accuracy on {truth}."))
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
        *(picture(f"{name}.png", caption) for name, caption in FIRST.items()),
        *_measures(tables["measures"]),
    ]
    for name, title in SECTIONS.items():
        if name in tables:
            laid = LAID[name](tables[name]) if name in LAID else [markdown(tables[name], f"{title}.")]
            parts += [f"## {title}", *([picture(f"{name}.png", f"{title}.")] if name in DRAWN else []), *laid]
    return numbered("\n\n".join(parts) + "\n")


def run(context: Context) -> None:
    """Show what ``laboratory`` or ``laboratory301`` found in a row of the same name; leaves ``page.md`` with its
    pictures, and ``page.html`` with them inside."""
    judged, recipe = context.stage.removesuffix("_report"), context.axes.get("recipe")
    supernets = context.axes["dataset"] + (f" (recipe {recipe})" if recipe else "")
    tables = read_tables(context.output_of(judged, context.row) / "tables")
    draw_laboratory(tables, supernets, context.out)
    benchmark = "NAS-Bench-201" if recipe else "NAS-Bench-301 (the truth is a surrogate's)"
    text = page(benchmark, supernets, tables)
    (context.out / "page.md").write_text(text)
    (context.out / "page.html").write_text(html(text, f"{benchmark}, {supernets}", context.out))

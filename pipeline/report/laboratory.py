"""The ``laboratory_report`` stage: the tables of the NAS-Bench-201 laboratory, and their pictures, on one page."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pipeline.context import Context
from pipeline.drawing.laboratory import draw_laboratory, read_tables
from pipeline.report.page import table as as_table

TITLES = {
    "table_1": "Table 1: tau between angle and flatness",
    "table_5": "Table 5: tau of flatness by sigma",
    "table_6": "Table 6: tau of flatness by alpha",
    "table_7": "Table 7: tau of flatness by position and direction",
    "training_length": "Tau by the epochs that the supernets were trained for",
    "differences": "What a measure adds to the number of parameters and to the validation loss: difference in tau",
    "searched": "Rank sums, the best on the search half",
    "judged": "Tau on the judging half",
    "margins": "By how much the chosen score is above the others on the judging half",
}
"""In the order of the page."""
PICTURES = {"table_6": "table_6.png", "training_length": "training_length.png"}


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


def by_statistic(table: pd.DataFrame, truth: str) -> pd.DataFrame:
    """The measures against one truth, best first, a column for each statistic."""
    estimates = _merged(table[table["truth"] == truth])
    wide = estimates.pivot(index="measure", columns="statistic", values="estimate")[["tau", "spearman", "precision"]]
    taus = table[(table["truth"] == truth) & (table["statistic"] == "tau")].set_index("measure")
    wide["reported tau"] = taus["reported"]
    return wide.loc[taus["value"].sort_values(ascending=False).index].reset_index()


def by_length(table: pd.DataFrame) -> pd.DataFrame:
    """Tau of each measure against each truth, a column for each number of epochs, best after the last first."""
    wide = _merged(table).pivot(index=["truth", "measure"], columns="epochs", values="estimate")
    order = table[table["epochs"] == table["epochs"].max()].sort_values("value", ascending=False)
    places = [pair for truth in table["truth"].unique() for pair in order[order["truth"] == truth].index]
    return wide.loc[[(row.truth, row.measure) for row in table.loc[places].itertuples()]].reset_index()


def page(supernets: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """The page of a data set and a recipe; its pictures lie beside it.

    Args:
        supernets: what they were trained on and how.
        tables: the laboratory's.
    """
    parts = [
        f"# NAS-Bench-201, supernets on {supernets}",
        "Estimates are means over seeds [95 % interval over architectures] ± standard deviation over seeds.",
        "![](measures.png)",
        "![](scatter.png)",
        "![](figure_2.png)",
    ]
    for truth in tables["measures"]["truth"].unique():
        parts += [f"## Measures against the accuracy on {truth}", markdown(by_statistic(tables["measures"], truth))]
    shown = {**tables, "training_length": by_length(tables["training_length"])}
    for name, title in TITLES.items():
        if len(shown[name]):
            parts += [f"## {title}", *([f"![]({PICTURES[name]})"] if name in PICTURES else []), markdown(shown[name])]
    return "\n\n".join(parts) + "\n"


def run(context: Context) -> None:
    """Show what ``laboratory`` found on a data set with a recipe; leaves ``page.md`` and its pictures."""
    supernets = f"{context.axes['dataset']} (recipe {context.axes['recipe']})"
    tables = read_tables(context.output_of("laboratory", context.row) / "tables")
    draw_laboratory(tables, supernets, context.out)
    (context.out / "page.md").write_text(page(supernets, tables))

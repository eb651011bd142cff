"""The ``laboratory`` stage: which measures rank the architectures of NAS-Bench-201 as the benchmark does.

It reads what the runs of a data set stored, passes nothing through a network, and leaves tables, pictures and one page.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.errors import GenasError
from pipeline.config import data_root
from pipeline.context import Context
from pipeline.laboratory import combine, page, pictures, tables
from pipeline.laboratory.benchmark import accuracy_of, load_benchmark
from pipeline.laboratory.judge import Judge
from pipeline.laboratory.scores import MEASURES, PAPERS, Stored, terms


def stored(context: Context, dataset: str) -> list[Stored]:
    """What the runs of a data set measured, in the order of their seeds.

    Raises:
        GenasError: the runs have other architectures, one than another.
    """
    runs = []
    for name, run in context.params.nasbench201.runs.items():
        if run.dataset == dataset:
            table = pd.read_parquet(context.output_of("nasbench201", name) / "scores.parquet")
            runs.append(Stored(table, context.params.nasbench201.required))
            if list(runs[0].table["architecture"]) != list(table["architecture"]):
                raise GenasError(f"nasbench201 {name}: other architectures than the runs before it")
    return runs


def run(context: Context) -> dict[str, float]:
    """Judge the measures of one data set; leaves tables, pictures and a page that shows them.

    Raises:
        GenasError: the benchmark's table is missing or wrong.
    """
    dataset, laboratory = context.axes["dataset"], context.params.nasbench201.laboratory
    settings, folder = context.params.nasbench201.required, context.out / "tables"
    folder.mkdir(exist_ok=True)
    benchmark = load_benchmark(data_root() / settings.table)
    runs = stored(context, dataset)
    cells = runs[0].table["architecture"]
    truths = {name: accuracy_of(benchmark, cells, name) for name in laboratory[dataset].truths}
    first = next(iter(truths))

    def judges(part: slice | np.ndarray = slice(None)) -> dict[str, Judge]:
        return {name: Judge(runs, truth, settings.top, settings.bootstrap, part) for name, truth in truths.items()}

    whole = judges()
    made = {
        "measures": tables.measures(whole),
        "differences": tables.differences(whole, {**MEASURES}),
        "table_1": tables.table_1(whole[first], dataset),
        "table_5": tables.table_5(whole),
        "table_6": tables.table_6(whole),
        "table_7": tables.table_7(whole, judges(curved(runs[0]))),
        "figure_2": tables.figure_2(runs[0], truths[first], settings.top),
    }
    made |= better(context, judges(combine.JUDGING))
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    pictures.draw_measures(made["measures"], folder / "measures.png", dataset)
    pictures.draw_losses(made["figure_2"], folder / "figure_2.png", f"{dataset}, seed {seeds(context)[0]}")
    pictures.draw_alpha(made["table_6"], folder / "table_6.png", dataset)
    pictures.draw_scatter(runs[0], truths[first], folder / "scatter.png", dataset)
    page.write(folder / "page.md", dataset, made)
    taus = made["measures"].query("truth == @first and statistic == 'tau'").set_index("measure")["value"]
    found = made["judged"].query("truth == @first").iloc[0]
    metrics = {f"tau_{name.replace(' + ', '_')}": float(taus[name]) for name in (*PAPERS, "loss", "params")}
    return {**metrics, "tau_found": found["value"]}


def seeds(context: Context) -> list[int]:
    """The seeds of the row's runs."""
    runs = context.params.nasbench201.runs.values()
    return [run.seed for run in runs if run.dataset == context.axes["dataset"]]


def curved(run: Stored) -> np.ndarray:
    """The architectures of which Hessian directions were taken."""
    return np.flatnonzero(run.table["hessian_0_0"].notna())


def better(context: Context, judges: dict[str, Judge]) -> dict[str, pd.DataFrame]:
    """The score that the first data set's search half picks, and what it is worth on this one's judging half."""
    settings, laboratory = context.params.nasbench201.required, context.params.nasbench201.laboratory
    home = next(iter(laboratory))
    benchmark = load_benchmark(data_root() / settings.table)
    runs, readings = stored(context, home), terms(settings)
    truth = accuracy_of(benchmark, runs[0].table["architecture"], laboratory[home].truths[0])
    ranking = combine.search(runs, truth, readings)
    chosen = ranking["score"][0].split(combine.JOIN)
    compared = {ranking["score"][0]: combine.summed(chosen, readings), **MEASURES}
    judged = pd.DataFrame(
        [
            {"truth": name, "score": title, **judge.tau(score).row()}
            for name, judge in judges.items()
            for title, score in compared.items()
        ]
    )
    against = tables.margins(judges, compared, ranking["score"][0])
    return {"searched": ranking.head(30), "judged": judged, "margins": against}

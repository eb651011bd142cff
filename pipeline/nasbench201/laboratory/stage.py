"""The ``laboratory`` stage: which measures rank the architectures of NAS-Bench-201 as the benchmark does.

It reads what the runs of a data set stored, passes nothing through a network, and leaves tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from models.errors import GenasError
from pipeline.config import data_root
from pipeline.context import Context
from pipeline.data.reading.files import table_in
from pipeline.nasbench201.laboratory import combine, tables
from pipeline.nasbench201.laboratory.benchmark import accuracy_of, load_benchmark
from pipeline.nasbench201.laboratory.judge import Judge, Part
from pipeline.nasbench201.laboratory.lengths import training_length
from pipeline.nasbench201.laboratory.ranking import Array
from pipeline.nasbench201.laboratory.scores import PAPERS, SCORES, Score, Stored, terms
from pipeline.stages import Key


def read(context: Context, rows: Iterable[Key]) -> list[Stored]:
    """What rows measured.

    Raises:
        GenasError: what a row has left cannot be read, or has other architectures than the first.
    """
    runs: list[Stored] = []
    for stage, row in rows:
        table = table_in(context.output_of(stage, row) / "scores.parquet")
        runs.append(Stored(table, context.params.nasbench201.required))
        if list(runs[0].table["architecture"]) != list(table["architecture"]):
            raise GenasError(f"{stage} {row}: other architectures than the runs before it")
    return runs


def rows_of(context: Context, group: str) -> list[Key]:
    """The runs of a data set and a recipe, in the order of ``params.yaml``."""
    runs = context.params.nasbench201.runs.items()
    return [("nasbench201", name) for name, run in runs if run.group == group]


def on_the_way(context: Context, group: str) -> dict[int, list[Key]]:
    """The rows that measured in supernets of a data set and a recipe after so many epochs, the last of them too; none
    where there are no snapshots."""
    laboratory, rows = context.params.nasbench201, dict[int, list[Key]]()
    for name, kept in laboratory.snapshots.items():
        if kept.group == group:
            rows.setdefault(kept.epoch, []).append(("snapshots201", name))
    last = laboratory.required.recipes[laboratory.laboratory[group].recipe].epochs
    return rows | {last: rows_of(context, group)} if rows else {}


def curved(runs: Sequence[Stored]) -> Part:
    """The architectures of which every run has Hessian directions; none was found where the iteration did not end."""
    return np.flatnonzero(np.all([run.table["hessian_0_0"].notna() for run in runs], axis=0))


def chosen(context: Context, benchmark: pd.DataFrame) -> tuple[pd.DataFrame, str, Score]:
    """The best rank sum on the search half of the first data set, judged by its first truth: the best thirty sums, the
    first one's name, and itself."""
    laboratory = context.params.nasbench201
    home = next(iter(laboratory.laboratory))
    runs, readings = read(context, rows_of(context, home)), terms(laboratory.required)
    truth = accuracy_of(benchmark, runs[0].table["architecture"], laboratory.laboratory[home].truths[0])
    found = combine.search(runs, truth, readings).head(30)
    name = str(found["score"][0])
    return found, name, combine.summed(name.split(combine.JOIN), readings)


def run(context: Context) -> dict[str, float]:
    """Judge the measures in the supernets of one data set and recipe; leaves tables.

    Raises:
        GenasError: the benchmark's table is missing or wrong.
    """
    dataset, settings = context.axes["dataset"], context.params.nasbench201.required
    benchmark, runs = load_benchmark(data_root() / settings.table), read(context, rows_of(context, context.row))
    cells = runs[0].table["architecture"]
    names = context.params.nasbench201.laboratory[context.row].truths
    truths: dict[str, Array] = {name: accuracy_of(benchmark, cells, name) for name in names}
    first = names[0]

    def judges(part: Part = slice(None), of: Sequence[Stored] = runs) -> tables.Judges:
        return {name: Judge(of, truth, settings.top, settings.bootstrap, part) for name, truth in truths.items()}

    whole = judges()
    searched, best, score = chosen(context, benchmark)
    made = {
        "measures": tables.measures(whole, dataset),
        "differences": tables.differences(whole),
        "table_1": tables.table_1(whole[first], dataset),
        "table_5": tables.table_5(whole, dataset),
        "table_6": tables.table_6(whole, dataset),
        "table_7": tables.table_7(whole, judges(curved(runs)) if settings.hessian else {}, dataset),
        "training_length": training_length(
            {epochs: judges(of=read(context, rows)) for epochs, rows in on_the_way(context, context.row).items()}
        ),
        "figure_2": tables.figure_2(runs, truths[first], settings.top),
        "searched": searched,
        "architectures": tables.architectures(runs[0], truths[first]),
        **tables.verdict(judges(combine.JUDGING), best, {best: score, **SCORES}),
    }
    folder = context.out / "tables"
    folder.mkdir(exist_ok=True)
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    taus = whole[first]
    metrics = {name: taus.tau(SCORES[name]).value for name in (*PAPERS, *tables.CONTROLS)}
    found = made["judged"].query("truth == @first and score == @best")["value"].iloc[0]
    return {f"tau_{name.replace(' + ', '_')}": value for name, value in (metrics | {"found": float(found)}).items()}

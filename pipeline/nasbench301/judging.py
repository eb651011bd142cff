"""The ``laboratory301`` stage: which measures rank architectures of the DARTS space as NAS-Bench-301's surrogate does.

The questions and statistics are those of NAS-Bench-201 (:mod:`genas.pipeline.laboratory`), but for what needs a
tabulated space. Nothing of the paper stands beside them: it has no such experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from genas.pipeline.config import LaboratoryParams
from genas.pipeline.context import Context
from genas.pipeline.laboratory import tables
from genas.pipeline.laboratory.combine import choose, combined
from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.opponents.graphs import halves
from genas.pipeline.laboratory.opponents.tabulated import looked_up
from genas.pipeline.laboratory.questions.adds import conditional, fitted
from genas.pipeline.laboratory.questions.chance import measures_tried
from genas.pipeline.laboratory.ranking import Array
from genas.pipeline.laboratory.scores import PAPERS, Score, Stored, read_runs, scores_of, terms
from genas.pipeline.nasbench301.benchmark import ACCURACY, load_benchmark, table_of

TRUTH = "surrogate"
"""What the truth is called."""
BINS = 10
"""Of multiply-adds, inside which architectures count as equally large."""


def opponents(runs: Sequence[Stored], known: pd.DataFrame, truth: Array, settings: LaboratoryParams) -> pd.DataFrame:
    """Tau of the measures that other people took of the same architectures, columns of the benchmark's table; of those
    architectures that have them.

    Args:
        runs: of which the first names the architectures.
        known: the benchmark's table.
        truth: (n,).
        settings: how it is judged.
    """
    rows, cells = [], runs[0].table["architecture"]
    for name in known.select_dtypes("number").columns.drop(ACCURACY):
        there = np.flatnonzero(known.loc[cells, name].notna())
        if len(there) > 2:
            estimate = Judge(runs[:1], truth, settings.top, settings.bootstrap, there).tau(looked_up(known[name]))
            rows.append({"measure": name, "architectures": len(there), **estimate.row()})
    return pd.DataFrame(rows)


def of_the_best(
    runs: Sequence[Stored], truth: Array, scores: Mapping[str, Score], settings: LaboratoryParams
) -> dict[str, pd.DataFrame]:
    """The search for a better score in this space, and what was chosen on the judging half of the architectures."""
    alone = np.arange(len(truth))  # no two of them compute the same
    (searching, judging), named = halves(alone), {TRUTH: scores}
    best = choose(runs, truth, searching, settings.permutations, TRUTH)
    judge = Judge(best.runs, truth, settings.top, settings.bootstrap, judging)
    of_measures = measures_tried(runs, named, {TRUTH: truth}, settings.permutations)
    return {
        "about": tables.about(runs, pd.DataFrame({"graph": alone}), judging, best.runs),
        "searched": best.found,
        "tried": pd.concat([of_measures, pd.DataFrame([best.tried])]),
        **tables.verdict({TRUTH: judge}, best.name, best.score, named),
    }


def run(context: Context) -> dict[str, float]:
    """Judge the measures in the supernets of one data set; leaves tables.

    Raises:
        GenasError: the benchmark's table is missing or wrong, or a score that is to be judged has a reading that was
            not stored.
    """
    settings, matrix = context.params.nasbench301.required, context.params.matrix.nasbench301
    mine = [row for row, axes in matrix.rows().items() if axes["dataset"] == context.axes["dataset"]]
    runs = read_runs(context, [("nasbench301", row) for row in mine], settings)
    known, cells = load_benchmark(table_of(context.params)), runs[0].table["architecture"]
    truth = known.loc[cells, ACCURACY].to_numpy(np.float64)
    judge = Judge(runs, truth, settings.top, settings.bootstrap)
    judges, readings = {TRUTH: judge}, terms(runs[0])
    scores = {**scores_of(runs[0]), **{name: combined(name, readings) for name in settings.chosen}}
    sizes = pd.qcut(runs[0].column("macs"), BINS, labels=False, duplicates="drop")
    made = {
        "measures": tables.measures(judges, {TRUTH: scores}, ""),
        "differences": tables.differences(judges, {TRUTH: scores}),
        "conditional": conditional(judges, scores, sizes),
        "fitted": fitted(judges, scores, np.arange(len(cells))),
        "opponents": opponents(runs, known, truth, settings),
        "table_1": tables.table_1(judge, ""),
        "table_5": tables.table_5(judges, ""),
        "table_6": tables.table_6(judges, ""),
        "table_7": tables.table_7(judges, {}, ""),
        "figure_2": tables.figure_2(runs, truth, settings.top),
        "architectures": tables.architectures(runs[0], truth),
        **of_the_best(runs, truth, scores, settings),
    }
    folder = context.out / "tables"
    folder.mkdir(exist_ok=True)
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    taus = {name: judge.tau(scores[name]).value for name in (*PAPERS, *tables.CONTROLS)}
    return {f"tau_{name.replace(' + ', '_')}": value for name, value in taus.items()}

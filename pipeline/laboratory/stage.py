"""The ``laboratory`` stage: which measures rank the architectures of NAS-Bench-201 as the benchmark does.

It reads what the runs of a data set stored, passes nothing through a network, and leaves tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genas.models.spaces.nasbench201.cell import all_cells
from genas.pipeline.config import Settings201, data_root
from genas.pipeline.context import Context
from genas.pipeline.laboratory import tables
from genas.pipeline.laboratory.benchmark import accuracy_of, load_benchmark
from genas.pipeline.laboratory.combine import Chosen, choose
from genas.pipeline.laboratory.companions import load_robustness, load_zero_cost
from genas.pipeline.laboratory.judge import Judge, Part
from genas.pipeline.laboratory.opponents.forest import forests
from genas.pipeline.laboratory.opponents.graphs import describe, halves
from genas.pipeline.laboratory.opponents.tabulated import EVERYWHERE, compared, opponents, whole_space
from genas.pipeline.laboratory.questions.adds import conditional, fitted
from genas.pipeline.laboratory.questions.chance import measures_tried
from genas.pipeline.laboratory.questions.generalisation import generalisation
from genas.pipeline.laboratory.questions.generalisation import truths as other_truths
from genas.pipeline.laboratory.questions.lengths import training_length
from genas.pipeline.laboratory.questions.protocols import SPACE, SUPERNETS, protocols
from genas.pipeline.laboratory.questions.walks import walks
from genas.pipeline.laboratory.ranking import Array
from genas.pipeline.laboratory.scores import PAPERS, Stored, read_runs, scores_of
from genas.pipeline.stages import Key


def rows_of(context: Context, group: str, stage: str = "nasbench201") -> list[Key]:
    """The rows of a stage that measured in supernets of a data set and a recipe, in the order of ``params.yaml``."""
    laboratory = context.params.nasbench201
    named = laboratory.spaces if stage == "space201" else laboratory.runs
    return [(stage, name) for name, run in named.items() if run.group == group]


def on_the_way(context: Context) -> dict[int, list[Key]]:
    """The rows that measured in the row's supernets after so many epochs of training, before its end."""
    rows: dict[int, list[Key]] = {}
    for name, kept in context.params.nasbench201.snapshots.items():
        if kept.group == context.row:
            rows.setdefault(kept.epoch, []).append(("snapshots201", name))
    return rows


def curved(runs: Sequence[Stored]) -> Part:
    """The architectures of which every run has Hessian directions; none was found where the iteration did not end."""
    return np.flatnonzero(np.all([run.table["hessian_0_0"].notna() for run in runs], axis=0))


def chosen(context: Context, benchmark: pd.DataFrame, half: NDArray[np.intp]) -> Chosen:
    """The best sum or product of ranks on the search half of the first data set, judged by its first truth. The
    supernets of another data set had no part in the choice, so that all of them judge."""
    laboratory = context.params.nasbench201
    home = next(iter(laboratory.laboratory))
    runs, first = read_runs(context, rows_of(context, home), laboratory.required), laboratory.laboratory[home].truths[0]
    truth = accuracy_of(benchmark, runs[0].table["architecture"], first)
    best = choose(runs, truth, half, laboratory.required.permutations, first)
    if home == context.row:
        return best
    return best._replace(runs=read_runs(context, rows_of(context, context.row), laboratory.required))


class Tables(NamedTuple):
    """What the stage reads beside readings: the benchmark, its companions or none, and the graphs of the space."""

    benchmark: pd.DataFrame
    robustness: pd.DataFrame | None
    zero_cost: pd.DataFrame | None
    graphs: pd.DataFrame


def read(settings: Settings201) -> Tables:
    """The tables below the data root.

    Raises:
        GenasError: one is missing or wrong.
    """
    root = data_root()
    return Tables(
        load_benchmark(root / settings.table),
        load_robustness(root / settings.robustness) if settings.robustness else None,
        load_zero_cost(root / settings.zero_cost) if settings.zero_cost else None,
        describe([str(cell) for cell in all_cells()]),
    )


class Laboratory:
    """A row's readings and truths, and the tables that are made of them.

    Args:
        context: the row's.
    """

    def __init__(self, context: Context) -> None:
        laboratory = context.params.nasbench201
        self.context, self.dataset, self.settings = context, context.axes["dataset"], laboratory.required
        self.known, self.runs = read(self.settings), read_runs(context, rows_of(context, context.row), self.settings)
        self.cells, self.scores = self.runs[0].table["architecture"], scores_of(self.runs[0])
        self.truths = self.accuracies(self.cells, laboratory.laboratory[context.row].truths)
        self.first = next(iter(self.truths))
        self.graphs = describe(list(self.cells))
        self.tabulated = {
            name: opponents(self.known.benchmark, self.known.graphs, self.known.zero_cost, name) for name in self.truths
        }
        self.all = {
            truth: {**self.scores, **{name: made[name] for name in EVERYWHERE}}
            for truth, made in self.tabulated.items()
        }

    def accuracies(self, cells: pd.Series[str], truths: Sequence[str]) -> dict[str, Array]:
        """True accuracies in percent, (n,), by name."""
        return {name: accuracy_of(self.known.benchmark, cells, name) for name in truths}

    def judges(
        self,
        runs: Sequence[Stored] | None = None,
        truths: Mapping[str, Array] | None = None,
        part: Part | None = None,
    ) -> dict[str, Judge]:
        """A judge of the row's runs, or of others, for each truth; they share what they can."""
        truths = self.truths if truths is None else truths
        one = Judge(
            self.runs if runs is None else runs, truths[self.first], self.settings.top, self.settings.bootstrap, part
        )
        return {name: one if name == self.first else one.against(truth) for name, truth in truths.items()}

    def briefly(self, rows: Sequence[Key]) -> list[Stored]:
        """What rows measured in brief."""
        return read_runs(self.context, rows, self.settings.in_brief)

    def of_lengths(self) -> dict[str, pd.DataFrame]:
        """How tau depends on training length, if there are snapshots."""
        rows = on_the_way(self.context)
        if not rows:
            return {}
        runs = {epochs: self.briefly(of_epoch) for epochs, of_epoch in rows.items()}
        scores = scores_of(next(iter(runs.values()))[0])
        runs[self.settings.recipes[self.context.axes["recipe"]].epochs] = self.runs
        return {"training_length": training_length({n: self.judges(these) for n, these in runs.items()}, scores)}

    def of_measures(self) -> dict[str, pd.DataFrame]:
        """How well measures rank, what they add, and what else they foretell."""
        whole, classes = self.judges(), self.graphs["graph"].to_numpy()
        macs = np.unique(self.graphs["macs"], return_inverse=True)[1]
        others = other_truths(self.known.benchmark, self.known.robustness, self.cells)
        return {
            "measures": tables.measures(whole, self.all, self.dataset),
            "differences": tables.differences(whole, self.all),
            "conditional": conditional(whole, self.scores, macs),
            "fitted": fitted(whole, self.scores, classes),
            "generalisation": generalisation(whole[self.first], others),
            "table_1": tables.table_1(whole[self.first], self.dataset),
            "table_5": tables.table_5(whole, self.dataset),
            "table_6": tables.table_6(whole, self.dataset),
            "table_7": tables.table_7(
                whole, self.judges(part=curved(self.runs)) if self.settings.hessian else {}, self.dataset
            ),
            "figure_2": tables.figure_2(self.runs, self.truths[self.first], self.settings.top),
            "architectures": tables.architectures(self.runs[0], self.truths[self.first]),
        }

    def of_the_best(self) -> dict[str, pd.DataFrame]:
        """The search for a better score, and what was chosen on the judging half."""
        searching, judging = halves(self.graphs["graph"].to_numpy())
        best = chosen(self.context, self.known.benchmark, searching)
        of_measures = measures_tried(self.runs, self.all, self.truths, self.settings.permutations)
        return {
            "about": tables.about(self.runs, self.graphs, judging, best.runs),
            "searched": best.found,
            "tried": pd.concat([of_measures, pd.DataFrame([best.tried])]),
            **tables.verdict(self.judges(best.runs, part=judging), best.name, best.score, self.all),
        }

    def of_opponents(self) -> dict[str, pd.DataFrame]:
        """Opponents, protocols and searches, of the measured architectures and of the whole space."""
        settings, measured = self.settings, self.briefly(rows_of(self.context, self.context.row, "space201"))
        space, ours = measured or [whole_space(settings)], scores_of(measured[0]) if measured else {}
        cells = space[0].table["architecture"]
        graphs, of_space = self.known.graphs.loc[cells], self.accuracies(cells, list(self.truths))
        both = {truth: {**made, **self.scores} for truth, made in self.tabulated.items()}
        known = {truth: {**made, **ours} for truth, made in self.tabulated.items()}
        easy = {truth: {name: made[name] for name in EVERYWHERE} | ours for truth, made in self.tabulated.items()}
        truth, here, there = self.first, {"architectures of": SUPERNETS}, {"architectures of": SPACE}
        made = {
            "protocols": protocols(
                {SUPERNETS: (self.runs, self.graphs, both), SPACE: (space, graphs, known)},
                {SUPERNETS: self.truths, SPACE: of_space},
                settings.stratified,
            ),
            "forests": forests(of_space, graphs, graphs.index.get_indexer(pd.Index(self.cells)), settings),
            "walks": pd.concat(
                [
                    walks(self.runs, self.all[truth], self.truths[truth], settings.search, here),
                    walks(space, easy[truth], of_space[truth], settings.search, there),
                ]
            ),
        }
        if measured:
            made["space"] = tables.measures(self.judges(measured, of_space), easy, self.dataset)
        if self.known.zero_cost is not None:
            training = settings.recipes[self.context.axes["recipe"]]
            size = f"{training.channels} channels and {training.cells} cells a stage"
            made["zero_cost"] = compared(self.runs, self.known.zero_cost, self.dataset, size)
        return made


def run(context: Context) -> dict[str, float]:
    """Judge the measures in the supernets of one data set and recipe; leaves tables.

    Raises:
        GenasError: the benchmark's table, or one beside it, is missing or wrong.
    """
    laboratory = Laboratory(context)
    made = {
        **laboratory.of_measures(),
        **laboratory.of_lengths(),
        **laboratory.of_the_best(),
        **laboratory.of_opponents(),
    }
    folder = context.out / "tables"
    folder.mkdir(exist_ok=True)
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    taus = made["measures"].set_index(["truth", "statistic", "measure"])["value"]
    metrics = {name: taus[laboratory.first, "tau", name] for name in (*PAPERS, *tables.CONTROLS)}
    judged = made["judged"].set_index(["truth", "statistic", "score"])["value"]
    metrics["found"] = judged[laboratory.first, "tau", made["searched"]["score"].iloc[0]]
    return {f"tau_{name.replace(' + ', '_')}": float(value) for name, value in metrics.items()}

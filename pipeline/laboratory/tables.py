"""The tables of the laboratory, with the paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized

import numpy as np
import pandas as pd

from genas.pipeline.laboratory.judge import Judge
from genas.pipeline.laboratory.paper import RLNAS, TABLE_1, TABLE_5, TABLE_6, TABLE_7
from genas.pipeline.laboratory.ranking import Array
from genas.pipeline.laboratory.scores import CURVE, JOINED, SCORES, Score, Stored

CONTROLS = ("params", "loss")
"""What a measure should beat to be worth its forward passes."""
Judges = Mapping[str, Judge]
"""By the name of the truth."""
Scores = Mapping[str, Mapping[str, Score]]
"""By the name of the truth, as some opponents are other columns for another truth, and by their own."""


def own(values: Mapping[str, float], truth: str, dataset: str) -> float:
    """What a paper reports for a truth. Its supernets are trained on the data set whose accuracy they rank, so that it
    stands beside supernets on that ``dataset`` alone."""
    return values.get(truth, np.nan) if truth == dataset else np.nan


def measures(judges: Judges, scores: Scores, dataset: str) -> pd.DataFrame:
    """Every measure against every truth: tau-b, of all and of the best tenth in truth, Spearman, precision and nDCG of
    the top K, the accuracy of the pick and its regret in percent; and what RLNAS reports of tau for supernets on
    ``dataset``."""
    reports = {**RLNAS, "flatness": TABLE_5[2e-3, 1e-2, 2e-2]}
    rows = []
    for truth, judge in judges.items():
        best = judge.best()
        for name, score in scores[truth].items():
            reported = own(reports.get(name, {}), truth, dataset)
            rows += [
                {
                    "truth": truth,
                    "measure": name,
                    "statistic": statistic,
                    **estimate.row(),
                    "reported": reported if statistic == "tau" else np.nan,
                }
                for statistic, estimate in (
                    ("tau", judge.tau(score)),
                    ("tau of the best tenth", best.tau(score)),
                    ("spearman", judge.spearman(score)),
                    ("precision", judge.precision(score)),
                    ("nDCG", judge.ndcg(score)),
                    ("pick", judge.pick(score)),
                    ("regret", judge.regret(score)),
                )
            ]
    return pd.DataFrame(rows)


def differences(judges: Judges, scores: Scores) -> pd.DataFrame:
    """By how much tau of each measure, and of rank sums with the controls, exceeds that of the controls."""
    rows = []
    for truth, judge in judges.items():
        known = {name: judge.tau(score) for name, score in {**scores[truth], **JOINED}.items()}
        for control in CONTROLS:
            for name, estimate in known.items():
                if name != control:
                    about = {"truth": truth, "measure": name, "control": control}
                    rows.append({**about, **estimate.less(known[control]).row()})
    return pd.DataFrame(rows)


def about(runs: Sequence[Stored], graphs: pd.DataFrame, judging: Sized, judges: Sequence[Stored]) -> pd.DataFrame:
    """How many supernets and architectures there are, and on the judging half."""
    counts = {
        "supernets": len(runs),
        "architectures": len(graphs),
        "distinct architectures": graphs["graph"].nunique(),
        "supernets of the judging half": len(judges),
        "architectures of the judging half": len(judging),
    }
    return pd.DataFrame(counts.items(), columns=["what", "count"])


def verdict(judges: Judges, best: str, score: Score, scores: Scores) -> dict[str, pd.DataFrame]:
    """What the best score and the others are worth, by tau, of all and of the best tenth in truth, and by the accuracy
    of the pick; and by how much the best one exceeds each of them in tau, with the interval of that."""
    judged, margins = [], []
    for truth, judge in judges.items():
        everything, top = {best: score, **scores[truth]}, judge.best()
        known = {name: judge.tau(other) for name, other in everything.items()}
        for name, other in everything.items():
            about = {"truth": truth, "score": name}
            estimates = {"tau": known[name], "tau of the best tenth": top.tau(other), "pick": judge.pick(other)}
            judged += [{**about, "statistic": what, **estimate.row()} for what, estimate in estimates.items()]
        for name, estimate in known.items():
            if name != best:
                margins.append({"truth": truth, "score": best, "other": name, **known[best].less(estimate).row()})
    return {"judged": pd.DataFrame(judged), "margins": pd.DataFrame(margins)}


def table_1(judge: Judge, dataset: str) -> pd.DataFrame:
    """Tau between angle and flatness."""
    estimate = judge.agreement(SCORES["angle"], SCORES["flatness"])
    return pd.DataFrame([{"dataset": dataset, **estimate.row(), "paper": TABLE_1.get(dataset, np.nan)}])


def table_5(judges: Judges, dataset: str) -> pd.DataFrame:
    """Tau of flatness by the set of sigmas, of supernets on ``dataset``."""
    rows = []
    for truth, judge in judges.items():
        for sigma, paper in TABLE_5.items():
            estimate = judge.tau(lambda run, sigma=sigma: run.flatness(CURVE, sigma))  # type: ignore[misc]
            text = ", ".join(f"{deviation:g}" for deviation in sigma)
            rows.append({"truth": truth, "sigma": text, **estimate.row(), "paper": own(paper, truth, dataset)})
    return pd.DataFrame(rows)


def table_6(judges: Judges, dataset: str) -> pd.DataFrame:
    """Tau of flatness by alpha, of supernets on ``dataset``."""
    rows = []
    for truth, judge in judges.items():
        for alpha, paper in TABLE_6.items():
            estimate = judge.tau(lambda run, alpha=alpha: run.flatness(alpha=alpha))  # type: ignore[misc]
            reported = own({"cifar10": paper}, truth, dataset)
            rows.append({"truth": truth, "alpha": alpha, **estimate.row(), "paper": reported})
    return pd.DataFrame(rows)


def table_7(whole: Judges, sampled: Judges, dataset: str) -> pd.DataFrame:
    """Tau of flatness by where noise acts and where it points, of supernets on ``dataset``; the Hessian's directions on
    a sample, beside which random ones stand on the same sample."""
    ways: dict[tuple[str, str], Score] = {
        ("all", "random"): lambda run: run.flatness(),
        ("cells", "random"): lambda run: run.flatness("cells"),
        ("all", "hessian"): lambda run: run.flatness("hessian"),
    }
    rows = []
    for judges, wanted in ((whole, ("random",)), (sampled, ("random", "hessian"))):
        for truth, judge in judges.items():
            for (position, direction), score in ways.items():
                if direction in wanted:
                    paper = own({"cifar10": TABLE_7[position, direction]}, truth, dataset)
                    about = {"truth": truth, "architectures": len(judge.truth)}
                    about |= {"position": position, "direction": direction}
                    rows.append({**about, **judge.tau(score).row(), "paper": paper})
    return pd.DataFrame(rows)


def architectures(run: Stored, truth: Array) -> pd.DataFrame:
    """What one run measured of each architecture, beside its true accuracy in percent: parameters, validation loss in
    nats, flatness."""
    readings = {name: run.column(name) for name in CONTROLS}
    return pd.DataFrame(
        {"architecture": run.table["architecture"], **readings, "flatness": run.flatness(), "accuracy": truth}
    )


def figure_2(runs: Sequence[Stored], truth: Array, top: int) -> pd.DataFrame:
    """Mean loss, over runs, of the K best, middle and worst architectures in truth by sigma; the first sigma is 0."""
    order = np.argsort(truth, kind="stable")
    middle = (len(order) - top) // 2
    groups = {"bottom": order[:top], "middle": order[middle : middle + top], "top": order[-top:]}
    sigma = runs[0].settings.noises[CURVE].sigma
    losses = np.mean([np.vstack([run.column("loss"), run.losses(CURVE, sigma)]) for run in runs], axis=0)
    rows = [
        {"group": name, "sigma": deviation, "loss": float(loss[group].mean())}
        for name, group in groups.items()
        for deviation, loss in zip((0.0, *sigma), losses, strict=True)
    ]
    return pd.DataFrame(rows)

"""Tables 2, 3, 4 and 8 of the paper as data, and which rows of a profile stand beside which of theirs.

Source: Jeong et al., GeNAS: Neural Architecture Search with Better Generalization, IJCAI 2023. Its "FLOPs" are
multiply-adds. A zoo name is given where the cell behind a line is published; a measure where this project's own search
with that measure is the same experiment ("SPOS" and "RLNAS" are the authors' own accuracy and angle searches).
"""

from __future__ import annotations

from typing import NamedTuple

from genas.pipeline.config import Params
from genas.pipeline.stages.graph import graph

MEASURE_NAMES = {"angle": "Angle", "accuracy": "Accuracy", "flatness": "Flatness"}
"""In the order in which the paper writes sums."""


class Line(NamedTuple):
    """One line of a table.

    Attributes:
        dataset: what was searched on.
        method: the paper's name for it.
        values: what the paper reports: percent, numbers of parameters, multiply-adds.
        measure: the search of this project that stands for it, or "".
        zoo: the published cell that stands for it, or "".
    """

    dataset: str
    method: str
    values: dict[str, float]
    measure: str = ""
    zoo: str = ""


def _two(dataset: str, measure: str, params: float, macs: float, top1: float, top5: float, zoo: str = "") -> Line:
    values = {"params": params * 1e6, "macs": macs * 1e9, "top1": top1, "top5": top5}
    return Line(dataset, measure, values, measure, zoo)


def _three(
    dataset: str, method: str, params: float, macs: float, top1: float, top5: float | None, measure: str, zoo: str
) -> Line:
    values = {"params": params * 1e6, "macs": macs * 1e9, "top1": top1} | ({"top5": top5} if top5 else {})
    return Line(dataset, method, values, measure, zoo)


def _four(
    method: str, costs: tuple[float, float], v2: float, a: float, ap: float, miou: float, measure: str, zoo: str
) -> Line:
    values = {"params": costs[0] * 1e6, "macs": costs[1] * 1e9, "v2_top1": v2, "a_top1": a, "ap": ap, "miou": miou}
    return Line("CIFAR-10" if "SDARTS" in method else "CIFAR-100", method, values, measure, zoo)


TABLE_2 = (
    _two("CIFAR-10", "Angle", 5.3, 0.59, 75.70, 92.45),
    _two("CIFAR-10", "Accuracy", 5.4, 0.60, 75.32, 92.20),
    _two("CIFAR-10", "Flatness", 5.6, 0.61, 75.95, 92.74, "genas_flatness_c10"),
    _two("CIFAR-10", "Angle + Flatness", 5.3, 0.59, 76.06, 92.77, "genas_angle_flatness_c10"),
    _two("CIFAR-10", "Accuracy + Flatness", 5.6, 0.61, 75.72, 92.59),
    _two("CIFAR-100", "Angle", 5.4, 0.61, 75.00, 92.31, "genas_angle_c100"),
    _two("CIFAR-100", "Accuracy", 5.4, 0.60, 75.37, 92.23),
    _two("CIFAR-100", "Flatness", 5.2, 0.58, 76.05, 92.64, "genas_flatness_c100"),
    _two("CIFAR-100", "Angle + Flatness", 5.4, 0.60, 75.72, 92.46, "genas_angle_flatness_c100"),
    _two("CIFAR-100", "Accuracy + Flatness", 5.4, 0.60, 75.85, 92.74),
    _two("ImageNet", "Angle", 5.4, 0.60, 75.09, 92.30),
    _two("ImageNet", "Accuracy", 5.3, 0.58, 74.78, 92.11),
    _two("ImageNet", "Flatness", 5.3, 0.59, 75.49, 92.38),
    _two("ImageNet", "Angle + Flatness", 5.5, 0.60, 75.66, 92.62),
    _two("ImageNet", "Accuracy + Flatness", 5.3, 0.59, 75.33, 92.41),
)

TABLE_3 = (
    _three("CIFAR-10", "DARTS", 4.7, 0.57, 73.3, 91.3, "", "darts_v2_c10"),
    _three("CIFAR-10", "PC-DARTS", 5.3, 0.59, 74.9, 92.2, "", "pcdarts_c10"),
    _three("CIFAR-10", "FairDARTS-B", 4.8, 0.54, 75.1, 92.5, "", "fairdarts_b_c10"),
    _three("CIFAR-10", "P-DARTS", 4.9, 0.56, 75.6, 92.6, "", "pdarts_c10"),
    _three("CIFAR-10", "DropNAS", 5.4, 0.60, 76.0, 92.8, "", "dropnas_c10"),
    _three("CIFAR-10", "SANAS", 4.9, 0.55, 75.2, 91.7, "", ""),
    _three("CIFAR-10", "SPOS", 5.4, 0.60, 75.3, 92.2, "Accuracy", ""),
    _three("CIFAR-10", "MF-NAS", 4.9, 0.55, 75.3, None, "", ""),
    _three("CIFAR-10", "Shapley-NAS", 5.1, 0.57, 75.7, None, "", "shapley_c10"),
    _three("CIFAR-10", "RLNAS", 5.3, 0.59, 75.7, 92.5, "Angle", ""),
    _three("CIFAR-10", "SDARTS-RS", 5.5, 0.61, 75.5, 92.7, "", "sdarts_rs_c10"),
    _three("CIFAR-10", "SDARTS-ADV", 5.5, 0.62, 75.6, 92.4, "", "sdarts_adv_c10"),
    _three("CIFAR-10", "GeNAS (Flatness)", 5.6, 0.61, 76.0, 92.7, "Flatness", "genas_flatness_c10"),
    _three(
        "CIFAR-10", "GeNAS (Angle + Flatness)", 5.3, 0.59, 76.1, 92.8, "Angle + Flatness", "genas_angle_flatness_c10"
    ),
    _three("CIFAR-100", "PC-DARTS", 5.3, 0.59, 74.8, 92.2, "", "pcdarts_c100_genas_research"),
    _three("CIFAR-100", "DropNAS", 5.1, 0.57, 75.1, 92.3, "", "dropnas_c100"),
    _three("CIFAR-100", "P-DARTS", 5.1, 0.58, 75.3, 92.5, "", ""),
    _three("CIFAR-100", "SPOS", 5.4, 0.60, 75.4, 92.2, "Accuracy", ""),
    _three("CIFAR-100", "RLNAS", 5.4, 0.61, 75.0, 92.3, "Angle", "genas_angle_c100"),
    _three("CIFAR-100", "GeNAS (Flatness)", 5.2, 0.58, 76.1, 92.6, "Flatness", "genas_flatness_c100"),
    _three(
        "CIFAR-100", "GeNAS (Angle + Flatness)", 5.4, 0.60, 75.7, 92.5, "Angle + Flatness", "genas_angle_flatness_c100"
    ),
)

TABLE_4 = (
    _four("PC-DARTS", (5.3, 0.59), 62.53, 3.85, 35.56, 70.68, "", "pcdarts_c100_genas_research"),
    _four("DropNAS", (5.1, 0.57), 63.14, 4.28, 36.39, 71.16, "", "dropnas_c100"),
    _four("SPOS", (5.4, 0.60), 62.84, 3.91, 36.04, 71.70, "Accuracy", ""),
    _four("RLNAS", (5.4, 0.61), 62.95, 3.81, 35.98, 70.84, "Angle", "genas_angle_c100"),
    _four("SDARTS-ADV", (5.5, 0.62), 62.88, 4.24, 36.36, 71.77, "", "sdarts_adv_c10"),
    _four("GeNAS (Flatness)", (5.2, 0.58), 63.38, 5.65, 37.05, 72.58, "Flatness", "genas_flatness_c100"),
    _four(
        "GeNAS (Angle + Flatness)",
        (5.4, 0.60),
        63.32,
        4.37,
        36.59,
        72.05,
        "Angle + Flatness",
        "genas_angle_flatness_c100",
    ),
)

TABLE_8 = {
    0.0: {"flatness_share": 0.0, "top1": 75.00, "top5": 92.31},
    0.5: {"flatness_share": 20.0, "top1": 75.22, "top5": 92.39},
    1.5: {"flatness_share": 43.0, "top1": 75.58, "top5": 92.44},
    6.0: {"flatness_share": 76.0, "top1": 75.63, "top5": 92.54},
    16.0: {"flatness_share": 89.0, "top1": 75.72, "top5": 92.46},
}
"""Angle + Flatness on CIFAR-100 by gamma, all in percent."""
GAMMA = 16
"""The one of Table 2, whose numbers for CIFAR-100 are those of Table 8 at this gamma."""


def paper_dataset(name: str) -> str:
    """The paper's name of a data set of the profile, or "" where the paper has none such."""
    plain = name.lower().replace("-", "").replace("_", "")
    return {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}.get(plain, "")


def measure_name(params: Params, metric: str) -> str:
    """A metric of ``params.yaml`` as the paper writes it, from its terms: ``Angle + Flatness``; or "", also where
    flatness weighs another gamma than in Table 2."""
    about = params.metrics[metric]
    if len(about.terms) > 1 and about.terms.get("flatness", GAMMA) != GAMMA:
        return ""
    if about.combine != "sum" or about.strategy != "evolution" or not set(about.terms) <= set(MEASURE_NAMES):
        return ""
    return " + ".join(text for name, text in MEASURE_NAMES.items() if about.terms.get(name))


def beside(params: Params, lines: tuple[Line, ...]) -> list[tuple[Line, list[str]]]:
    """Each line of a table with the retrained rows of the profile that stand beside it, none or more.

    A search on a data set that the paper does not have stands beside the first line of its measure.
    """
    nodes = graph(params)
    found: list[tuple[Line, list[str]]] = [(line, []) for line in lines]
    for row in params.rows:
        stage, cell = nodes["retrain", row].inputs[1]
        axes = nodes[stage, cell].axes
        measure = measure_name(params, axes["metric"]) if "metric" in axes else ""  # "" of a control too
        for line, rows in found:
            if stage == "zoo" and cell == line.zoo:
                rows.append(row)
            elif measure and measure == line.measure:
                dataset = paper_dataset(axes["dataset"])
                if dataset == line.dataset or not dataset:
                    rows.append(row)
                    if not dataset:
                        break
    return found

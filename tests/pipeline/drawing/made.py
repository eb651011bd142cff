"""Small made-up data to draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

HISTORY = pd.DataFrame(
    {"generation": [0, 1, 2], "best": [1.0, 2.0, 2.5], "median": [0.5, 1.0, 1.2], "worst": [0, 0.2, 0.1]}
)
CANDIDATES = pd.DataFrame(
    {"generation": [0, 0, 1], "score": [1.0, 3.0, 2.0], "flatness": [1, 2, 3], "accuracy": [0.1, 0.2, 0.3]}
)
LOSSES = pd.DataFrame({1: [1.0, 1.1, 1.4], 2: [1.2, 1.3, 1.9]}, index=[0.001, 0.003, 0.006])
TAU = pd.DataFrame([[1, -0.7], [-0.7, 1]], index=["flatness", "loss"], columns=["flatness", "loss"])
ERRORS = pd.DataFrame([[8.0, 4.0], [4.0, 2.0]], index=[128, 512], columns=[1, 2])
INPUTS: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("data", "shifted"): (("data", "d"),),
    ("data", "d"): (),
    ("supernet", "d-0"): (("data", "d"),),
    ("search", "d-f-0"): (("data", "d"), ("supernet", "d-0")),
    ("zoo", "z"): (),
    ("retrain", "found"): (("data", "d"), ("search", "d-f-0")),
    ("retrain", "published"): (("data", "d"), ("zoo", "z")),
    ("shift", "found"): (("data", "shifted"), ("retrain", "found")),
}
PHASES = {**{stage: stage for stage in ("data", "zoo", "supernet", "search", "retrain")}, "shift": "transfer"}


def estimates(**about: Any) -> dict[str, Any]:
    """A line of a table of the laboratory."""
    return {**about, "value": 0.5, "low": 0.4, "high": 0.6, "spread": 0.01}


TABLES = {
    "measures": pd.DataFrame(
        [
            estimates(truth=truth, measure=measure, statistic="tau", reported=0.6 if measure == "flatness" else np.nan)
            for truth in ("cifar10", "cifar100")
            for measure in ("flatness", "params")
        ]
    ),
    "architectures": pd.DataFrame(
        {
            "architecture": ["a", "b", "c"],
            "params": [7.3e4, 3.1e5, 1.29e6],
            "loss": [2.3, 1.2, 1.1],
            "flatness": [6e-4, 1.6e-3, 1.8e-3],
            "accuracy": [10.0, 75.0, 94.0],
        }
    ),
    "figure_2": pd.DataFrame(
        [{"group": name, "sigma": sigma, "loss": 1 + sigma} for name in ("bottom", "top") for sigma in (0, 2e-3, 2e-2)]
    ),
    "table_6": pd.DataFrame([estimates(truth="cifar10", alpha=alpha, paper=0.6) for alpha in (0.0, 1.0)]),
    "training_length": pd.DataFrame(
        [
            estimates(truth=truth, measure=measure, epochs=epochs, seeds=1)
            for truth in ("cifar10", "cifar100")
            for measure in ("flatness", "params")
            for epochs in (5, 20)
        ]
    ),
    "generalisation": pd.DataFrame(
        [
            estimates(kind=kind, truth=truth, measure=measure, statistic=statistic)
            for kind, truth in (("under attack", "FGSM, 1/255"), ("validation less test, 12 epochs", "cifar10"))
            for measure in ("flatness", "flatness, flat term")
            for statistic in ("tau", "partial tau")
        ]
    ),
    "walks": pd.DataFrame(
        [
            {
                "architectures of": "measured in supernets",
                "score": score,
                "strategy": strategy,
                "evaluations": end,
                "accuracy": 90 + end / 20,
                "spread": 0.5,
                "best": 94.37,
            }
            for score in ("flatness", "params")
            for strategy in ("evolution", "random search")
            for end in (10, 20)
        ]
    ),
}
"""Those tables of the laboratory that are drawn."""


def write_detections(
    folder: Path, scores: tuple[tuple[float, ...], ...] = ((0.93, 0.2), (0.25, 0.2, 0.1, 0.05))
) -> Path:
    """Examples of a detector, a photograph for each list of scores; returns their folder."""
    folder.mkdir(parents=True)
    entries = []
    for i, of_image in enumerate(scores):
        Image.new("RGB", (64, 48), "teal").save(folder / f"{i}.png")
        true = [{"box": [10, 12, 20.5, 30], "label": "person"}]
        predicted = [{"box": [8 + i, 10, 24, 30], "label": "person", "score": score} for score in of_image]
        entries.append({"image": f"{i}.png", "true": true, "predicted": predicted})
    (folder / "boxes.json").write_text(json.dumps(entries))
    return folder


def write_segmentations(folder: Path, classes: int = 3) -> Path:
    """Examples of a segmenter, two photographs of different sizes; returns their folder."""
    folder.mkdir(parents=True)
    for i, size in enumerate([(64, 48), (48, 32)]):
        Image.new("RGB", size, "teal").save(folder / f"{i}-image.png")
        labels = np.arange(size[0] * size[1], dtype=np.int64).reshape(size[1], size[0]) // 600 % classes
        for kind, drawn in (("labels", labels), ("prediction", np.where(labels == 1, 255, labels))):
            Image.fromarray(drawn.astype(np.uint8)).save(folder / f"{i}-{kind}.png")
    (folder / "classes.json").write_text(json.dumps([f"class {number}" for number in range(classes)]))
    return folder

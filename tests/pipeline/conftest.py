"""A profile whose rows have all run: the real files of every stage, with made-up numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.config import PROFILES

DEMO: dict[str, Any] = yaml.safe_load((PROFILES["demo"] / "params.yaml").read_text())
MINI: dict[str, Any] = yaml.safe_load((PROFILES["mini"] / "params.yaml").read_text())
CELLS = {
    "flatness": "search/digits-flatness-0",
    "angle-flatness": "search/digits-angle_flatness-0",
    "darts": "zoo/darts_v2_c10",
}
# The demo's recipes, with rows, names and sizes of these tests' own.
PARAMS: dict[str, Any] = {
    **DEMO,
    "data": {
        "digits": {"layout": "parquet", "digest": "content", "derive": "digits", "seed": 0, "pixels": 32},
        "scenes": {"layout": "coco", "digest": "content", "derive": "digits", "seed": 0, "images": 8},
    },
    "matrix": {
        "supernet": {"dataset": ["digits"], "seed": [0]},
        "search": {"dataset": ["digits"], "metric": ["flatness", "angle_flatness"], "seed": [0]},
        "reseed": {"dataset": [], "metric": [], "supernet": [], "noise": [], "seed": []},
        "rerank": {"search": ["digits-angle_flatness-0"], "gamma": [0, 16]},
        "replica": {"dataset": [], "split": [], "seed": []},
        "agreement": {"dataset": ["digits"], "seed": [0]},
        "zoo": {"row": ["darts_v2_c10"]},
        "shift": {"row": ["flatness"]},
        "curvature": {"row": ["flatness", "darts"]},
        "detect": {"row": ["flatness", "darts"]},
        "segment": {"row": ["flatness"]},
        "nasbench301": {"dataset": [], "seed": []},
    },
    "rows": {
        row: {"cell": cell, "dataset": "digits", "width": 8, "layers": 5, "stem": "cifar", "image_size": 32}
        | {"recipe": "short", "seed": 0}
        for row, cell in CELLS.items()
    },
    "measures": {**DEMO["measures"], "flatness": {**DEMO["measures"]["flatness"], "sigma": [0.001, 0.003, 0.006]}},
    "nasbench201": {
        "runs": {"digits-darts-0": {"dataset": "digits", "recipe": "darts", "seed": 0}},
        "spaces": {},
        "snapshots": {},
        "laboratory": {"digits-darts": {"dataset": "digits", "recipe": "darts", "truths": ["cifar10"]}},
        "settings": MINI["nasbench201"]["settings"],
    },
    "metrics": {
        "flatness": {"terms": {"flatness": 1.0}, "combine": "sum", "strategy": "evolution"},
        "angle_flatness": {"terms": {"angle": 1.0, "flatness": 16.0}, "combine": "sum", "strategy": "evolution"},
    },
    "supernet": {"digits": DEMO["supernet"]["digits"]},
    "search": {"digits": {**DEMO["search"]["digits"], "population": 6, "mutated": 3, "crossed": 3}},
    "retrain": DEMO["retrain"],
    "shift": {**DEMO["shift"], "dataset": "digits"},
    "detect": {**DEMO["detect"], "dataset": "scenes", "overrides": {"SOLVER.MAX_ITER": 10}},
    "segment": {**DEMO["segment"], "dataset": "scenes", "overrides": {"train_dataloader.dataset.pipeline[0]": 2}},
}

REPEATED: dict[str, Any] = {
    **PARAMS,
    "matrix": {
        **PARAMS["matrix"],
        "reseed": {"dataset": ["digits"], "metric": ["flatness"], "supernet": [0], "noise": [0, 1], "seed": [0, 1]},
        "replica": {"dataset": ["digits"], "split": [0, 1], "seed": [0, 1]},
    },
    "replica": {"architectures": 3, "measures": ["flatness", "angle"], "draws": 2, "parts": 2},
}
"""The same with searches and supernets that repeat others."""


def leave(root: Path, stage: str, row: str, metrics: dict[str, float], history: pd.DataFrame | None = None) -> Path:
    """Write what every stage leaves; returns the row's folder."""
    folder = root / "out" / stage / row
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "timing.json").write_text(json.dumps({"seconds": 12.3, "device": "cpu", "scorer": "native"}))
    if history is not None:
        history.to_csv(folder / "history.csv", index=False)
    return folder


def leave_search(root: Path, row: str, seed: int) -> pd.DataFrame:
    """A search of 4 generations by 6 candidates; returns its history."""
    rng = np.random.default_rng(seed)
    genotypes = [random_genotype(rng) for _ in range(24)]
    table = pd.DataFrame(
        {
            "generation": np.repeat(range(4), 6),
            "encoding": [" ".join(map(str, genotype.encode())) for genotype in genotypes],
            "flatness": rng.uniform(0.5, 2, 24),
            "accuracy": rng.uniform(0.2, 0.9, 24),
            "loss_0": rng.uniform(1, 2, 24),
        }
    )
    table["score"] = table["flatness"] * (16 if "angle" in row else 1)
    table.loc[3, ["flatness", "score"]] = np.nan  # quarantined: its loss was not finite
    score = table.groupby("generation")["score"]
    history = pd.DataFrame(
        {"generation": range(4), "best": score.max().cummax(), "median": score.median(), "worst": score.min()}
    )
    winner = table.iloc[int(np.nanargmax(table["score"]))]
    metrics = {"score": winner["score"], "flatness": winner["flatness"], "params": 5.2e6, "macs": 5.8e8}
    metrics["flatness_share"] = 93.0 if "angle" in row else 100.0
    folder = leave(root, "search", row, metrics, history)
    table.to_parquet(folder / "candidates.parquet")
    genotypes[int(np.nanargmax(table["score"]))].save(folder / "genotype.json", score=winner["score"])
    return history


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time of whatever shows pictures; here they are single pixels."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, to, **options: Image.new("RGB", (1, 1)).save(to, "png"))


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile's folder with its parameters alone."""
    root = tmp_path / "profile"
    root.mkdir()
    write_params(root)
    return root


def write_params(root: Path, params: dict[str, Any] = PARAMS) -> None:
    """Write parameters into a folder."""
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.fixture
def finished(profile: Path) -> Path:
    """A profile's folder in which every row has run but ``detect@darts``."""
    return leave_all(profile)


def leave_all(profile: Path) -> Path:
    """Write what every row of :data:`PARAMS` leaves but ``detect@darts``."""
    for name, classes in {"digits": 10, "scenes": 3}.items():
        folder = profile / "out" / "data" / name
        folder.mkdir(parents=True)
        splits = {"train": 1400, "test": 397}
        content = {
            "name": name,
            "layout": "parquet",
            "digest": f"{name:0<64}",
            "splits": splits,
            "classes": [""] * classes,
        }
        (folder / "manifest.json").write_text(json.dumps(content))
        (folder / "files").mkdir()
        Image.new("RGB", (8, 8)).save(folder / "files" / "0.png")
    top1 = [20.0, float("nan"), 71.7]
    epochs = pd.DataFrame({"epoch": [0, 1, 2], "train_loss": [2.25, 1.1, 0.1 + 0.2], "top1": top1})
    leave(profile, "supernet", "digits-0", {"top1": 70.5, "loss": 0.31}, epochs)
    leave_search(profile, "digits-flatness-0", seed=1)
    leave_search(profile, "digits-angle_flatness-0", seed=2)
    for gamma, share in (("0", 0.0), ("16", 93.0)):
        metrics = {"score": 3.5, "angle": 1.2, "flatness_share": share, "params": 5.2e6, "macs": 5.8e8}
        leave(profile, "rerank", f"digits-angle_flatness-0-{gamma}", metrics)
    agreement = leave(profile, "agreement", "digits-0", {"tau_flatness_loss": 0.875, "architectures": 16.0})
    (agreement / "agreement.csv").write_text("measure,flatness,loss\nflatness,1.0,0.875\nloss,0.875,1.0\n")
    (agreement / "errors.csv").write_text("images,1,4\n64,12.34,6.0\n256,3.0,1.5\n")
    leave(profile, "zoo", "darts_v2_c10", {"params": 4.7e6, "macs": 5.5e8})
    for row, top1 in {"flatness": 81.5, "angle-flatness": 80.25, "darts": 79.0}.items():
        metrics = {"top1": top1, "top5": 98.5, "best_top1": top1 + 1, "params": 5.2e6, "macs": 5.8e8}
        leave(profile, "retrain", row, metrics, epochs)
    leave(profile, "shift", "flatness", {"top1": 81.5, "v2_top1": 61.5, "a_top1": 5.65, "o_aupr": 20.1})
    for row, slope in {"flatness": 10, "darts": 20}.items():
        leave_curve(profile, row, slope)
    iterations = pd.DataFrame({"iteration": [5, 10], "loss": [1.5, 0.7]})
    for stage, metrics in {
        "detect": {"ap": 37.05, "ap50": 56.0, "ap75": 39.0, "params": 3.5e7, "macs": 2e11},
        "segment": {"miou": 72.58, "macc": 80.0, "aacc": 95.0, "params": 3.9e7, "macs": 1.8e11},
    }.items():
        folder = leave(profile, stage, "flatness", metrics, iterations)
        leave_examples(stage, folder / "examples")
    return profile


def leave_curve(root: Path, row: str, slope: float) -> None:
    """A curve whose loss rises from 0.5 by ``slope`` a unit of sigma."""
    sigma = np.array([0, 0.01, 0.02])
    metrics = {"flatness": 1 / (slope + 50), "loss": 0.5, "loss_rise": 0.02 * slope, "top1": 80.0}
    columns = {"loss": 0.5 + slope * sigma, "loss_deviation": sigma, "top1": 80 - sigma, "top1_deviation": sigma}
    curve = pd.DataFrame({"sigma": sigma, **columns})
    curve.to_csv(leave(root, "curvature", row, metrics) / "curve.csv", index=False)


def leave_examples(stage: str, folder: Path) -> None:
    """One photograph with what ``detect`` or ``segment`` says of it."""
    folder.mkdir()
    photograph = Image.new("RGB", (32, 24), "teal")
    if stage == "detect":
        photograph.save(folder / "0.png")
        box = {"box": [4, 6, 20, 12], "label": "7"}
        entry = {"image": "0.png", "true": [box], "predicted": [{**box, "score": 0.93}]}
        (folder / "boxes.json").write_text(json.dumps([entry]))
    else:
        photograph.save(folder / "0-image.png")
        for kind, label in (("labels", 1), ("prediction", 2)):
            Image.new("L", (32, 24), label).save(folder / f"0-{kind}.png")
        (folder / "classes.json").write_text(json.dumps(["ground", "seven", "eight"]))

"""``genas run --profile official``, at the size of a demo: every slip of the released code, from the data to the
report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from genas.pipeline.config import PROFILES, REPOSITORY
from tests.flows.calling import genas


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The profile with its data set, sizes and rows made small, and nothing else."""
    params: dict[str, Any] = yaml.safe_load((PROFILES["official"] / "params.yaml").read_text())
    params |= {"profile": "small_official", "code": str(REPOSITORY)}
    params["data"] = {"small": {"layout": "parquet", "digest": "content", "path": "small", "pixels": 16}}
    params["matrix"]["supernet"]["dataset"] = params["matrix"]["search"]["dataset"] = ["small"]
    params["matrix"]["search"]["metric"] = ["angle_flatness"]
    params["matrix"]["zoo"]["row"] = ["genas_flatness_c100"]
    network = params["rows"]["genas_flatness_c100"] | {"dataset": "small", "layers": 3, "image_size": 32, "width": 2}
    params["rows"] = {"found": {**network, "cell": "search/small-angle_flatness-0"}, "genas_flatness_c100": network}
    size = {"channels": 2, "layers": 3, "epochs": 3, "batch_size": 20, "validate_paths": 2, "validate_images": 32}
    params["supernet"] = {"small": params["supernet"]["cifar100"] | size}
    params["measures"] |= {"images": 30, "batch_size": 16, "recalibrate_images": 28, "recalibrate_batch_size": 2}
    sizes = {"population": 4, "generations": 2, "parents": 2, "mutated": 2, "crossed": 1}
    params["search"] = {"small": params["search"]["cifar100"] | sizes}
    params["recipes"]["official"] |= {"epochs": 6, "warmup_epochs": 1, "batch_size": 16}
    params["retrain"]["workers"] = 0
    for section in ("shift", "detect", "segment"):
        params[section]["dataset"] = "small"
    for section in ("shift", "curvature"):
        params[section]["trained_on"] = "small"
    root = tmp_path / "small"
    root.mkdir()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    (root / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return root


@pytest.mark.slow
def test_the_released_code_s_way_runs_from_end_to_end(small: Path, small_data: Path) -> None:
    said = genas("run", "--profile", str(small), GENAS_DATA=str(small_data))
    assert said.returncode == 0, said.stderr
    candidates = pd.read_parquet(small / "out/search/small-angle_flatness-0/candidates.parquet")
    assert len(candidates) == 8
    assert (candidates["error"] == "").all()
    encodings = [code.split() for code in candidates.query("generation == 1")["encoding"]]
    assert all(len(code) == 28 for code in encodings)
    metrics = json.loads((small / "out/retrain/found/metrics.json").read_text())
    assert metrics["best_top1"] >= metrics["top1"]
    assert (small / "out/report/report.html").exists()

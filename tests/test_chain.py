"""The whole chain, real frameworks and all, on tiny numbers: the invariants that hold the tools together.

One profile runs by bare ``dvc repro`` without Prefect and MLflow. Another runs by ``genas run`` with both and is killed
(SIGKILL, the whole tree) once in every long stage. Both must leave the same metrics and the same weights.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from genas.pipeline.config import PROFILES, REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LONG = ("supernet", "search", "retrain", "detect", "segment")
"""The stages that resume."""


def params() -> dict[str, Any]:
    """The demo's parameters, made tiny: one row of every stage."""
    demo: dict[str, Any] = yaml.safe_load((PROFILES["demo"] / "params.yaml").read_text())
    demo["code"] = str(REPOSITORY)
    del demo["data"]["digits16"], demo["supernet"]["digits16"]
    for stage in ("supernet", "agreement"):
        demo["matrix"][stage]["dataset"] = ["digits"]
    for name in ("digit_scenes", "digit_streets"):
        demo["data"][name]["images"] = 20
    demo["matrix"]["search"]["metric"] = ["flatness"]
    demo["matrix"]["reseed"] |= {"noise": [1], "seed": [0]}
    demo["matrix"]["replica"] = {"dataset": ["digits"], "split": [1], "seed": [0]}
    demo["replica"] = {"architectures": 2, "measures": ["flatness", "angle"], "draws": 2, "parts": 2}
    demo["matrix"]["rerank"] = {"search": ["digits-flatness-0"], "gamma": [4]}
    for stage in ("shift", "curvature", "detect", "segment"):
        demo["matrix"][stage]["row"] = ["found"]
    demo["rows"] = {
        "found": {
            "cell": "search/digits-flatness-0",
            "dataset": "digits",
            "width": 4,
            "layers": 3,
            "stem": "imagenet",
            "image_size": 32,
            "recipe": "short",
            "seed": 0,
        }
    }
    demo["supernet"]["digits"] |= {
        "channels": 2,
        "epochs": 3,
        "batch_size": 128,
        "validate_every": 3,
        "validate_images": 64,
    }
    demo["measures"] |= {"images": 64, "batch_size": 64, "recalibrate_images": 64}
    demo["search"]["digits"] |= {"population": 4, "generations": 3, "parents": 2, "mutated": 1, "crossed": 1}
    demo["agreement"] |= {
        "architectures": 4,
        "error": {"architectures": 2, "images": [32, 64], "draws": [1, 2], "replicates": 2},
    }
    demo["recipes"]["short"] |= {"epochs": 3, "batch_size": 64}
    for stage, key in (("detect", "SOLVER.MAX_ITER"), ("segment", "train_cfg.max_iters")):
        demo[stage]["checkpoint_period"] = 2
        demo[stage]["overrides"][key] = 6
    demo["detect"]["overrides"]["SOLVER.STEPS"] = []
    demo["segment"]["overrides"]["train_cfg.val_interval"] = 6
    return demo


def make_profile(root: Path) -> Path:
    """A repository of its own with the project's graph and tiny parameters."""
    root.mkdir()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    (root / "params.yaml").write_text(yaml.safe_dump(params()))
    return root


def environment(root: Path, mlflow: bool) -> dict[str, str]:
    """The surroundings of a run: this interpreter first on the path, tracking off or in the profile's own database; its
    rows are forks, as anybody's."""
    tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}"} if mlflow else {"GENAS_MLFLOW": "off"}
    inherited = {name: value for name, value in os.environ.items() if name not in ("GENAS_MLFLOW", "GENAS_PRELOADED")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path, "OMP_NUM_THREADS": "1", **tracking}


def measured(root: Path) -> dict[str, Any]:
    """Every metrics file, and the bytes of every weights file and genotype."""
    out = root / "out"
    found: dict[str, Any] = {str(p.relative_to(out)): json.loads(p.read_text()) for p in out.rglob("metrics.json")}
    for pattern in ("*.safetensors", "genotype.json"):
        found |= {str(p.relative_to(out)): p.read_bytes() for p in out.rglob(pattern)}
    return found


def kill_once_saved(root: Path, stage: str) -> None:
    """Run the chain and kill the whole tree as soon as ``stage`` has kept half-done work."""
    command = [sys.executable, "-m", "genas.flows.cli", "run", "--profile", str(root), "--jobs", "1"]
    running = subprocess.Popen(command, env=environment(root, mlflow=True), cwd=root)
    try:
        while not list((root / ".scratch").glob(f"{stage}-*/*.pt")):
            assert running.poll() is None, f"the run ended before {stage} kept anything"
            time.sleep(0.02)
    finally:
        tree = [*psutil.Process(running.pid).children(recursive=True), psutil.Process(running.pid)]
        for process in tree:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(tree)
    running.wait()


def test_prefect_mlflow_and_kills_change_nothing(tmp_path: Path) -> None:
    bare, driven = make_profile(tmp_path / "bare"), make_profile(tmp_path / "driven")
    subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=bare, env=environment(bare, mlflow=False), check=True)
    assert not (bare / "mlflow.db").exists()

    for stage in LONG:
        kill_once_saved(driven, stage)
    command = [sys.executable, "-m", "genas.flows.cli", "run", "--profile", str(driven), "--jobs", "2"]
    subprocess.run(command, env=environment(driven, mlflow=True), cwd=driven, check=True)

    expected, found = measured(bare), measured(driven)
    assert expected.keys() == found.keys()
    assert {name for name in expected if expected[name] != found[name]} == set()
    kept = {"logs", "run.lock", "tracked"}  # what was said, who ran last, and the rows' runs in MLflow
    assert {path.name for path in (driven / ".scratch").iterdir()} <= kept, "scratch of finished rows"

    again = subprocess.run(command, env=environment(driven, mlflow=True), cwd=driven, capture_output=True, text=True)
    assert again.returncode == 0
    assert "everything is up to date" in again.stdout

"""How fast this machine is at each kind of step of a profile: measured once, kept in the profile's ``.scratch``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from genas.pipeline.context import chosen_device
from genas.pipeline.forecast.work import Profile, Rate, Work, forecast_of
from genas.pipeline.stages import STAGES, Key

FILE = Path(".scratch") / "calibration.json"


def machine() -> dict[str, str]:
    """What a measured rate holds for: the processor or the GPU, its instruction set, the version of torch."""
    device = chosen_device()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else model
    return {"device": name, "instructions": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__}


def start_up() -> float:
    """Seconds of the two processes of a row before it begins: DVC's, and the imports of its stage."""
    started = time.perf_counter()
    for command in (["-m", "dvc", "--version"], ["-c", f"import {STAGES['search'].module}"]):
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - started


def remembered(folder: Path) -> dict[str, Any]:
    """What was measured on this machine before; without rates if nothing was."""
    try:
        content = json.loads((folder / FILE).read_text())
        if content["machine"] == machine():
            return {**content, "rates": {kind: Rate(*rate) for kind, rate in content["rates"].items()}}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"machine": machine(), "rates": {}}


def calibrate(folder: Path, profile: Profile, works: Mapping[Key, Work], again: bool = False) -> dict[str, Any]:
    """Measure the kinds of steps that are not known yet, or all of them ``again``; in one thread, as rows run.

    Returns:
        ``machine``, ``rates`` by kind, and ``start_up`` in seconds.
    """
    torch.set_num_threads(1)
    known: dict[str, Any] = {"machine": machine(), "rates": {}} if again else remembered(folder)
    rates: dict[str, Rate] = known["rates"]
    tried = set(known.get("tried", ()))
    wanted = {load.kind for work in works.values() for load in work.loads} - rates.keys() - tried
    if wanted or "start_up" not in known:
        known["start_up"] = start_up()
    for key, work in tqdm(works.items(), "calibrating", disable=None if wanted else True):
        kinds = {load.kind for load in work.loads} & wanted
        if kinds:
            rates |= {
                kind: rate for kind, rate in forecast_of(key[0]).trial(profile, key, wanted).items() if kind in wanted
            }
            wanted -= kinds
            tried |= kinds
    known["tried"] = sorted(tried)
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known, indent=1) + "\n")
    return known

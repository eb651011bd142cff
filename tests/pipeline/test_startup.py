"""What a row costs before it computes: stages that only add numbers up load no library that computes or draws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.search.candidates import write_candidates

HEAVY = ("mlflow", "torch", "torchvision", "timm", "scipy", "sklearn", "matplotlib")
"""Libraries that take from a third of a second to two seconds to import."""
ROWS = {
    "measures": ["measures"],
    "zoo": ["zoo", "row=darts_v2_c10"],
    "rerank": ["rerank", "search=digits-angle_flatness-0", "gamma=16"],
    "results": [],
    "report": ["report"],
}
"""Rows that compute nothing, and what ``genas results`` shows; in the order in which they load more."""
DRAWN = ["matplotlib"]
"""What the report needs besides: it has pictures."""
LABORATORIES = ("genas.pipeline.laboratory.stage", "genas.pipeline.nasbench301.judging")
"""They judge by statistics and forests, and need no network."""
PROGRAM = """
import importlib, json, os, sys
from pathlib import Path
heavy, rows, modules = json.loads(sys.argv[1])

def loaded():
    return [name for name in heavy if name in sys.modules]

from genas.pipeline.__main__ import parse, run
for name, arguments in rows.items():
    if name == "report":  # drawing takes most of its time
        from matplotlib.figure import Figure
        from PIL import Image
        Figure.savefig = lambda figure, to, **options: Image.new("RGB", (1, 1)).save(to, "png")
    if arguments:
        run(*parse(arguments), Path())
    else:
        from genas.pipeline.results.terminal import closing
        list(closing(Path().resolve(), name))
    print(json.dumps(loaded()))
for module in modules:
    importlib.import_module(module)
    print(json.dumps(loaded()))
"""


@pytest.fixture
def searched(finished: Path) -> Path:
    """The finished profile, its search by angle and flatness with every term that another gamma weighs."""
    rng = np.random.default_rng(0)
    candidates = [
        {
            "encoding": random_genotype(rng).encode(),
            "generation": 0,
            "angle": rng.uniform(),
            "flatness": rng.uniform(),
            "score": 1.0,
            "error": "",
        }
        for _ in range(4)
    ]
    write_candidates(finished / "out" / "search" / "digits-angle_flatness-0" / "candidates.parquet", candidates)
    return finished


def test_rows_that_compute_nothing_load_nothing_that_computes(searched: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, json.dumps([HEAVY, ROWS, LABORATORIES])]
    said = subprocess.run(
        command, cwd=searched, env={**os.environ, "GENAS_MLFLOW": "off"}, capture_output=True, text=True, check=False
    )
    assert not said.returncode, said.stderr
    *light, report, laboratory, laboratory301 = map(json.loads, said.stdout.splitlines())
    assert dict(zip(ROWS, light, strict=False)) == {name: [] for name in ROWS if name != "report"}
    assert report == DRAWN
    assert laboratory == laboratory301 == ["scipy", "sklearn", *DRAWN]
    assert (searched / "out" / "rerank" / "digits-angle_flatness-0-16" / "genotype.json").exists()
    assert (searched / "out" / "report" / "report.html").exists()

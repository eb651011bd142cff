"""The good things that cases change: each is made once, and copied for every case."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from genas.models.spaces.darts.genotype import random_genotype
from tests.conftest import tiny_params, write_small
from tests.faults.judging import Place
from tests.faults.running import Forked, run
from tests.flows.conftest import repository
from tests.networks import write_network
from tests.pipeline.conftest import leave_all, write_params
from tests.pipeline.laboratory.test_stage import write_benchmark, write_robustness, write_zero_cost
from tests.pipeline.nasbench201.test_nasbench201 import with_laboratory
from tests.pipeline.transfer import test_detect, test_segment

SUPERNET = "pipeline supernet dataset=small seed=1"
LINES = "pipeline nasbench201 dataset=small recipe=darts seed=1"
TABLES = {"table": write_benchmark, "robustness": write_robustness, "zero_cost": write_zero_cost}
"""What the laboratory reads below the data root, by the key of its settings and the name of the file."""
LABORATORY = tuple(
    f"pipeline {stage} dataset=small recipe=darts seed={seed}"
    for seed in (0, 1)
    for stage in ("supernet201", "nasbench201")
)


class Templates:
    """Makes templates below a folder, and copies of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def copy(self, name: str) -> Place:
        """A fresh copy."""
        template = self.folder / "templates" / name
        if not template.exists():
            making = self.folder / f"making-{name}"
            making.mkdir(parents=True)
            MAKERS[name](self, Place(making, ROOTS.get(name, "profile")))
            template.parent.mkdir(exist_ok=True)
            making.rename(template)
        self.count += 1
        place = Place(self.folder / str(self.count), ROOTS.get(name, "profile"))
        shutil.copytree(template, place.folder, symlinks=True)
        return place

    def run(self, place: Place, *lines: str) -> None:
        """Run calls that must end well."""
        for line in lines:
            ended = run(place.call(line, {}), self.folder)
            assert ended.status == 0, f"{line}: {ended.err}"

    def begin(self, place: Place, line: str, marker: str, least: int = 1) -> None:
        """Run a call, keep what it leaves as what is expected, run it again and kill it once the file ``marker`` in its
        scratch folder has ``least`` bytes."""
        self.run(place, line)
        stage, *axes = line.removeprefix("pipeline ").split()
        out = place.root / "out" / stage / "-".join(axis.split("=")[1] for axis in axes)
        (out / "timing.json").unlink()
        out.rename(place.folder / "expected")
        child = Forked(place.call(line, {}))
        while not any(path.stat().st_size >= least for path in place.root.glob(f".scratch/*/{marker}")):
            time.sleep(0.002)
        child.kill()
        child.wait()
        assert list(place.root.glob(f".scratch/*/{marker}")), "it ended before it was killed"


def plain(templates: Templates, place: Place) -> None:
    """The tiny profile, its data set recorded."""
    place.root.mkdir()
    (place.root / "params.yaml").write_text(yaml.safe_dump(tiny_params(), sort_keys=False))
    write_small(place.data / "small")
    templates.run(place, "pipeline data dataset=small")


def trained(templates: Templates, place: Place) -> None:
    """The tiny profile after a supernet, a search, a network and its shifted sets."""
    plain(templates, place)
    rows = ("supernet dataset=small seed=0", "search dataset=small metric=flatness seed=0", "zoo row=darts_v2_c10")
    rows += ("data dataset=small_shift", "retrain row=published")
    templates.run(place, *(f"pipeline {row}" for row in rows))


def scenes(templates: Templates, place: Place) -> None:
    """The tiny profile with scenes to detect and to segment, and a network for both."""
    plain(templates, place)
    derived = {"digest": "content", "derive": "digits", "seed": 0, "images": 10}
    place.tiny.change("data", scenes={"layout": "coco", **derived}, streets={"layout": "cityscapes", **derived})
    place.tiny.change("detect", categories=None)
    for section, module in (("detect", test_detect), ("segment", test_segment)):
        dataset = {"detect": "scenes", "segment": "streets"}[section]
        place.tiny.change(section, dataset=dataset, base=module.BASE, checkpoint_period=5, overrides=dict(module.SMALL))
    place.tiny.change("segment", **{"overrides__train_cfg.max_iters": 20, "overrides__train_cfg.val_interval": 20})
    templates.run(place, "pipeline data dataset=scenes", "pipeline data dataset=streets")
    write_network(place.root / "out/retrain/found/weights.safetensors", test_detect.PIXELS, 3)


def half(templates: Templates, place: Place) -> None:
    """The tiny profile with a half-done supernet."""
    plain(templates, place)
    place.tiny.change("supernet", small__epochs=6)
    templates.begin(place, SUPERNET, "state.pt.before")


def laboratory(templates: Templates, place: Place) -> None:
    """The tiny profile with both runs of NAS-Bench-201 and right tables of the benchmark and beside it."""
    plain(templates, place)
    with_laboratory(place.tiny)
    for name, write in TABLES.items():
        place.tiny.change("nasbench201", **{f"settings__{name}": f"{name}.parquet"})
        write(place.data / f"{name}.parquet")
    templates.run(place, *LABORATORY)


def lines(templates: Templates, place: Place) -> None:
    """The laboratory with a half-done second run."""
    shutil.copytree(templates.copy("laboratory").folder, place.folder, dirs_exist_ok=True)
    place.tiny.change("nasbench201", settings__architectures=24)
    templates.begin(place, LINES, "scores.jsonl", least=8000)


def finished(templates: Templates, place: Place) -> None:
    """A profile of which every row has run, with made-up numbers."""
    place.root.mkdir()
    write_params(place.root)
    leave_all(place.root)


def toy(templates: Templates, place: Place) -> None:
    """The toy profile in a repository of its own, up to date."""
    repository(place.folder / "repository").dvc("repro", "--quiet")


def genotypes(templates: Templates, place: Place) -> None:
    """The tiny profile with a cell to retrain."""
    plain(templates, place)
    cell = place.root / "out/search/small-flatness-0/genotype.json"
    cell.parent.mkdir(parents=True)
    random_genotype(np.random.default_rng(0)).save(cell)


MAKERS: dict[str, Callable[[Templates, Place], None]] = {
    "plain": plain,
    "trained": trained,
    "scenes": scenes,
    "half": half,
    "laboratory": laboratory,
    "lines": lines,
    "finished": finished,
    "toy": toy,
    "genotypes": genotypes,
}
ROOTS = {"toy": "repository/profiles/toy"}
"""Where the profile lies, if not in ``profile``."""

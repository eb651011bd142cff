"""What all tests share: one torch thread, no tracking, and a tiny profile on a tiny data set of real digits."""

from __future__ import annotations

import copy
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import yaml
from PIL import Image

from genas.pipeline.config import PROFILES, MetricParams, load_params
from genas.pipeline.context import Context, Log, silent
from genas.pipeline.data import stage as data

TINY: dict[str, dict[str, Any]] = {
    "data": {
        "small": {"layout": "parquet", "digest": "content", "path": "small", "pixels": 16},
        "small_shift": {"layout": "shift", "digest": "content", "derive": "small", "seed": 0},
    },
    "matrix": {
        "supernet": {"dataset": ["small"], "seed": [0, 1]},
        "search": {"dataset": ["small"], "metric": ["flatness", "angle", "angle_flatness", "accuracy"], "seed": [0]},
        "reseed": {"dataset": ["small"], "metric": ["flatness"], "supernet": [0], "noise": [0, 1], "seed": [0, 1]},
        "rerank": {"search": ["small-angle_flatness-0"], "gamma": [0, 16]},
        "agreement": {"dataset": ["small"], "seed": [0]},
        "replica": {"dataset": ["small"], "split": [0, 1], "seed": [0, 1]},
        "zoo": {"row": ["darts_v2_c10", "genas_flatness_c100"]},
        "shift": {"row": ["found", "published"]},
        "curvature": {"row": ["found"]},
        "detect": {"row": ["found"]},
        "segment": {"row": ["found"]},
    },
    "rows": {
        "found": {
            "cell": "search/small-flatness-0",
            "dataset": "small",
            "width": 4,
            "layers": 3,
            "stem": "imagenet",
            "image_size": 32,
            "recipe": "short",
            "seed": 0,
        },
        "published": {
            "cell": "zoo/darts_v2_c10",
            "dataset": "small",
            "width": 2,
            "layers": 3,
            "stem": "cifar",
            "image_size": 32,
            "recipe": "short",
            "seed": 0,
        },
    },
    "supernet": {
        "channels": 2,
        "layers": 3,
        "train_share": 0.5,
        "epochs": 3,
        "batch_size": 20,
        "crop_padding": 0.125,
        "validate_every": 2,
        "validate_paths": 2,
        "validate_images": 32,
    },
    "measures": {"images": 32, "batch_size": 16, "recalibrate_images": 32, "recalibrate_batch_size": 16},
    "search": {"population": 4, "generations": 3, "parents": 2, "mutated": 2, "crossed": 1},
    "agreement": {
        "architectures": 6,
        "error": {"architectures": 2, "images": [8, 16], "draws": [1, 2], "replicates": 2},
    },
    "replica": {"architectures": 3, "measures": ["flatness", "accuracy", "angle"], "draws": 2, "parts": 2},
    "shift": {"dataset": "small_shift", "trained_on": "small", "batch_size": 16},
    "curvature": {"trained_on": "small", "sigma": [0, 0.01, 0.02], "draws": 2, "images": 20, "batch_size": 16},
}
"""What the tiny profile changes in the demo's parameters."""

Done = subprocess.CompletedProcess[str]

SIZE = 16
"""Height and width of an image of the data set ``small``."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Cases with bytes are numbered: an archive holds the second it was made, and all processes collect equal names."""
    return argname if isinstance(val, bytes) else None


def write_small(root: Path) -> None:
    """Sixty training and thirty test images of the digits 0, 1 and 2, as a parquet data set."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(n_class=3, return_X_y=True)
    root.mkdir(parents=True)
    for name, part in (("train", slice(0, 60)), ("test", slice(60, 90))):
        images = []
        for flat in pixels[part]:
            grey = Image.fromarray((flat.reshape(8, 8) * (255 / 16)).astype(np.uint8))
            buffer = io.BytesIO()
            grey.resize((SIZE, SIZE)).convert("RGB").save(buffer, "png")
            images.append(buffer.getvalue())
        table = pyarrow.table({"image": images, "label": labels[part].astype(np.int64)})
        pyarrow.parquet.write_table(table, root / f"{name}.parquet")
    (root / "classes.txt").write_text("zero\none\ntwo\n")


def write_photographs(root: Path) -> None:
    """Twelve training and three validation JPEG files of each of the digits 0, 1 and 2, of different sizes, as class
    folders."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(n_class=3, return_X_y=True)
    for label, name in enumerate(("zero", "one", "two")):
        for number, flat in enumerate(pixels[labels == label][:15]):
            grey = Image.fromarray((flat.reshape(8, 8) * (255 / 16)).astype(np.uint8))
            path = root / ("train" if number < 12 else "val") / f"{label}-{name}" / f"{number:02}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            grey.resize((72 + 4 * number, 84)).convert("RGB").save(path, quality=95)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _nothing_beside_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAS_MLFLOW", "off")
    monkeypatch.setenv("GENAS_PRELOADED", "off")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the data set ``small``; read only."""
    root = tmp_path_factory.mktemp("data_root")
    write_small(root / "small")
    return root


def tiny_params() -> dict[str, Any]:
    """The demo's parameters with tiny numbers, as a dictionary to change and write."""
    params = yaml.safe_load((PROFILES["demo"] / "params.yaml").read_text())
    params["profile"] = "tiny"
    changes = copy.deepcopy(TINY)
    params["rows"] = {}
    params["replica"] = changes.pop("replica")
    for section in ("supernet", "search"):
        params[section] = {"small": params[section]["digits"] | changes.pop(section)}
    for section, values in changes.items():
        params[section] |= values
    params["recipes"] = {"short": params["recipes"]["short"] | {"epochs": 3, "batch_size": 16}}
    return params


def metric_of(terms: dict[str, float], combine: str = "sum", strategy: str = "evolution") -> MetricParams:
    """A metric as ``params.yaml`` would have it."""
    return MetricParams.model_validate({"terms": terms, "combine": combine, "strategy": strategy})


class Tiny:
    """The tiny profile's folder, and what the tests ask of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def change(self, section: str, **values: Any) -> None:
        """Rewrite some values of a section of ``params.yaml``; ``a__b`` is the key b inside a."""
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        for key, value in values.items():
            *path, last = key.split("__")
            place = params[section]
            for part in path:
                place = place[part]
            place[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def context(self, stage: str, log: Log = silent, **axes: str) -> Context:
        """A row's context, its output folder made."""
        context = Context(stage, axes, load_params(self.root), self.root, log)
        context.out.mkdir(parents=True, exist_ok=True)
        return context

    def bytes_of(self, stage: str, row: str, name: str) -> bytes:
        """An output's content."""
        return (self.root / "out" / stage / row / name).read_bytes()


def make_tiny(root: Path) -> Tiny:
    """A tiny profile in an empty folder, its data set ``small`` recorded."""
    (root / "params.yaml").write_text(yaml.safe_dump(tiny_params(), sort_keys=False))
    profile = Tiny(root)
    data.run(profile.context("data", dataset="small"))
    return profile


@pytest.fixture
def tiny(tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A fresh tiny profile."""
    monkeypatch.setenv("GENAS_DATA", str(small_data))
    root = tmp_path / "tiny"
    root.mkdir()
    return make_tiny(root)


STREAMED: dict[str, Any] = {
    "preprocessing": "official",
    "crop_scale_min": 0.08,
    "color_jitter": 0.0,
    "auto_augment": None,
    "random_erasing": 0.0,
    "normalise": "none",
    "interpolation": "bilinear",
    "crop_pct": 0.875,
    "workers": 0,
}
"""How the official code reads ImageNet."""


def make_streaming(root: Path, pictures: Path) -> Tiny:
    """A tiny profile in an empty folder that searches on photographs in ``pictures``, trained on as ImageNet is."""
    params = tiny_params()
    params["data"] = {"photos": {"layout": "folder", "digest": "content", "path": pictures.name, "pixels": 64}}
    params["matrix"] = {name: {axis: [] for axis in axes} for name, axes in params["matrix"].items()}
    params["matrix"]["supernet"] = {"dataset": ["photos"], "seed": [0]}
    params["matrix"]["search"] = {"dataset": ["photos"], "metric": ["flatness"], "seed": [0]}
    recipe = {"channels": 4, "stem": "imagenet", "batch_size": 8, "train_share": 0.75, "flip": True}
    recipe |= {"crop_padding": 0.0, "streamed": STREAMED, "schedule": "linear", "update": "step", "decay": "weights"}
    recipe |= {"clip_norm": None, "clip_value": 5.0, "label_smoothing": 0.1, "validate_images": 6}
    params["supernet"] = {"photos": params["supernet"]["small"] | recipe}
    params["search"] = {"photos": params["search"]["small"] | {"max_macs": 6.0e8}}
    params["measures"] |= {"images": 6, "batch_size": 4, "recalibrate_images": 8, "recalibrate_batch_size": 4}
    params |= {"rows": {}, "agreement": None, "retrain": None, "shift": None, "curvature": None}
    params |= {"detect": None, "segment": None}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    profile = Tiny(root)
    data.run(profile.context("data", dataset="photos"))
    return profile


@pytest.fixture
def streaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A fresh tiny profile whose supernet streams photographs, which may be spoilt."""
    write_photographs(tmp_path / "data" / "photos")
    monkeypatch.setenv("GENAS_DATA", str(tmp_path / "data"))
    root = tmp_path / "streaming"
    root.mkdir()
    return make_streaming(root, tmp_path / "data" / "photos")


@pytest.fixture(scope="session")
def trained_outputs(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Path:
    """The ``out`` folder of a tiny profile whose supernet is trained."""
    from genas.pipeline.supernet import stage as supernet

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        profile = make_tiny(tmp_path_factory.mktemp("trained"))
        supernet.run(profile.context("supernet", dataset="small", seed="0"))
    return profile.root / "out"


@pytest.fixture
def trained(tiny: Tiny, trained_outputs: Path) -> Tiny:
    """A fresh tiny profile with a trained supernet."""
    shutil.copytree(trained_outputs, tiny.root / "out", dirs_exist_ok=True)
    return tiny


def run_stage(root: Path, *row: str, processes: int = 1, launcher: Sequence[str] = ()) -> Done:
    """``python -m genas.pipeline`` in a profile's folder, in several processes on the CPU if asked; its status and
    output."""
    environment = {**os.environ, "GENAS_PROCESSES": str(processes), "OMP_NUM_THREADS": "1", "GENAS_DEVICE": "cpu"}
    command = [sys.executable, *launcher, "-m", "genas.pipeline", *row]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


class Killed(Exception):  # noqa: N818
    """What a test's log raises in the place of a kill."""


def kill_at(step: int) -> Callable[[int, Any], None]:
    """A log that ends the stage when it hears of a step."""

    def log(now: int, values: Any) -> None:
        if now == step:
            raise Killed

    return log


class Running(Protocol):
    """A process that was started: what :class:`subprocess.Popen` and the fault laboratory's own both offer."""

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


def killed_at_random(
    start: Callable[[], Running],
    take: Callable[[], dict[str, bytes]],
    kills: int,
    among: tuple[float, float] = (0.3, 0.9),
    killed: Callable[[], None] = lambda: None,
) -> tuple[dict[str, bytes], dict[str, bytes], int]:
    """What a row leaves when it runs whole, and when it gets SIGKILL at random moments before it may end.

    No handler stands in the way, and each moment is somewhere in the time that a whole run takes. A run that ends
    before its moment is no kill, and the next one begins anew.

    Args:
        start: starts the row.
        take: returns what it left, and takes that away.
        kills: how many moments are drawn.
        among: the moments, as shares of the time of a whole run.
        killed: called after each kill that hit.

    Returns:
        What the whole run left, what the killed one did, and how many kills hit.
    """
    started = time.monotonic()
    assert start().wait() == 0
    seconds, whole, hits = time.monotonic() - started, take(), 0
    for moment in np.random.default_rng(0).uniform(*among, kills):
        process = start()
        try:
            process.wait(moment * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            hits += 1
            killed()
    assert start().wait() == 0
    return whole, take(), hits


def killed_ten_times(
    profile: Tiny, stage: str, axes: dict[str, str], names: Sequence[str]
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """:func:`killed_at_random` of a row as a process of its own, with the files ``names`` that it leaves."""
    command = [sys.executable, "-m", "genas.pipeline", stage, *(f"{axis}={value}" for axis, value in axes.items())]
    folder = profile.root / "out" / stage / "-".join(axes.values())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def take() -> dict[str, bytes]:
        left = {name: (folder / name).read_bytes() for name in names}
        shutil.rmtree(folder)
        return left

    def start() -> Running:
        return subprocess.Popen(command, cwd=profile.root, env=environment, stderr=subprocess.DEVNULL)

    whole, resumed, hits = killed_at_random(start, take, 10)
    assert hits >= 2, "the row ended before it could be killed in the middle"
    return whole, resumed

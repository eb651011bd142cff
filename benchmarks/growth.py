"""How the cost of a score grows, and how far it is from the core's practical limit (``genas bench growth``)."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib
import torch
import torch.nn.functional as F
from tqdm import tqdm

from genas.benchmarks import workload
from genas.models.spaces.darts.genotype import Genotype
from genas.pipeline import measures
from genas.pipeline.forecast.count import cost_of
from genas.pipeline.machine.memory import keep_memory
from genas.pipeline.probe.fast import make_probe

BASE = {"images": 512, "sigmas": 3, "channels": 16}
POINTS = {"images": (128, 512), "sigmas": (3, 6), "channels": (8, 16)}
SCORERS = ("plain", "fast", "native")
RECALIBRATE = 512


def flops_of(genotype: Genotype, channels: int) -> float:
    """Floating-point operations of a path for one image, two for each multiply-add."""
    with torch.device("meta"):
        network = workload.supernet(channels)
    return cost_of(partial(network, genotype=genotype), network, (32, 32)).flops


def practical_limit() -> float:
    """Operations a second of a large dense convolution on this core: the best of five."""
    x = torch.randn(32, 256, 32, 32).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(5):
        started = time.process_time()
        F.conv2d(x, weight, padding=1)
        times.append(time.process_time() - started)
    return 2 * 32 * 32 * 32 * 256 * 256 * 9 / min(times)


def point(scorer: str, images: int, sigmas: int, channels: int) -> dict[str, float]:
    """CPU seconds a candidate (best of two each, mean over two), and what follows; in a fresh process of one thread."""
    keep_memory()
    torch.set_num_threads(1)
    flat = workload.measures().flatness.model_copy(update={"sigma": tuple(1e-3 * i for i in range(1, sigmas + 1))})
    settings = workload.measures(images=images, recalibrate_images=RECALIBRATE, scorer=scorer, flatness=flat)
    network = workload.supernet(channels)
    seconds = operations = 0.0
    passes = sigmas * images + RECALIBRATE
    for genotype in workload.architectures(2):
        times = []
        for _ in range(2):
            probe = make_probe(network, workload.halves(RECALIBRATE, images), settings, workload.SEED)
            started = time.process_time()
            measures.measure("flatness", probe, genotype)
            times.append(time.process_time() - started)
        seconds += min(times) / 2
        operations += flops_of(genotype, channels) * passes / 2
    return {
        "seconds": seconds,
        "images_per_second": passes / seconds,
        "share_of_limit": operations / seconds / practical_limit(),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def run(picture: Path | None = None) -> dict[str, Any]:
    """All points, one number changed at a time, each in a fresh process."""
    wanted = [(axis, value, scorer) for axis, values in POINTS.items() for value in values for scorer in SCORERS]
    rows: list[dict[str, Any]] = []
    known: dict[tuple[Any, ...], dict[str, float]] = {}
    for axis, value, scorer in tqdm(wanted, "bench growth", disable=None):
        settings = {**BASE, axis: value}
        key = (scorer, *settings.values())
        if key not in known:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                known[key] = pool.submit(point, scorer, **settings).result()
        rows.append({"axis": axis, "value": value, "scorer": scorer, **known[key]})
    if picture:
        draw(rows, picture)
    return {"recalibrate_images": RECALIBRATE, **BASE, "points": rows}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds a candidate along each axis, and the share of the practical limit."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(POINTS), figsize=(11, 6), sharey="row", layout="constrained")
    for column, axis in enumerate(POINTS):
        for scorer in SCORERS:
            measured = [row for row in rows if (row["axis"], row["scorer"]) == (axis, scorer)]
            values = [row["value"] for row in measured]
            axes[0, column].plot(values, [row["seconds"] for row in measured], marker="o", label=scorer)
            axes[1, column].plot(values, [100 * row["share_of_limit"] for row in measured], marker="o", label=scorer)
        axes[1, column].set_xlabel(axis)
    for panel in axes.flat:  # once all is drawn: rows share their scale
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    axes[0, 0].set_ylabel("CPU seconds a candidate")
    axes[1, 0].set_ylabel("% of a large convolution's rate")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)

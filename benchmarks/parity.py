"""Our search measures in official mode against numbers that the official code computed (``genas parity DIR``).

The folder has two supernets of the official code, before and after training (``init``, ``final``), and ``cases.json``:
how images were prepared, and for some architectures what the official evaluator returned. Everything is computed anew
by this project's code and compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.official.weights import load_official_supernet, our_name
from genas.models.spaces.darts.genotype import Genotype
from genas.models.spaces.darts.supernet import Supernet
from genas.pipeline.config import PROFILES, MeasureParams, load_params
from genas.pipeline.data.reading.halves import SearchData
from genas.pipeline.data.reading.images import load_images, to_tensor
from genas.pipeline.measures import mean_over, take
from genas.pipeline.measures.flatness import flatness
from genas.pipeline.probe.noise import steps
from genas.pipeline.probe.plain import Noise, Probe

TOLERANCES = {
    "logits": {"rtol": 1e-4, "atol": 1e-4},
    "losses": {"rtol": 1e-4, "atol": 0.0},
    "loss_unperturbed": {"rtol": 1e-4, "atol": 0.0},
    "flatness": {"rtol": 1e-4, "atol": 0.0},
    "top1": {"rtol": 0.0, "atol": 1e-9},
    "angle": {"rtol": 0.0, "atol": 1e-5},
    "angle_normalised": {"rtol": 0.0, "atol": 1e-5},
}
"""Agreement that independent float32 implementations reach."""


LARGEST = 1000
"""Of a supernet's classes, channels and cells."""


class Images(NamedTuple):
    """Normalised images (N, 3, H, W) and labels (N,)."""

    images: Tensor
    labels: Tensor


def settings(about: dict[str, Any]) -> MeasureParams:
    """The measures of the profile ``official``, with the sigmas, images and batches of the cases."""
    measures, recalibration = load_params(PROFILES["official"]).measures, about["data"]["bn_recalibration"]
    return measures.model_copy(
        update={
            "scorer": "plain",
            "images": about["data"]["validation"]["count"],
            "batch_size": about["data"]["validation"]["batch_size"],
            "recalibrate_images": recalibration["count"],
            "recalibrate_batch_size": recalibration["batch_size"],
            "flatness": measures.flatness.model_copy(update={"sigma": tuple(about["sigma"])}),
        }
    )


def official_noise(
    network: Supernet, order: Iterable[str], deviations: Iterable[float], noise_seed: int
) -> Iterator[Noise]:
    """What each cumulative perturbation has added so far to all parameters, from one stream of noise.

    Args:
        network: whose parameters they are.
        order: their official names, in the order in which noise is drawn.
        deviations: of what each perturbation adds.
        noise_seed: of the stream.

    The official loaders take one number of the same stream at each pass over their data: one for the recalibration,
    one for each evaluation.
    """
    generator = torch.Generator().manual_seed(noise_seed)

    def loader_pass() -> None:
        torch.empty((), dtype=torch.int64).random_(generator=generator)

    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    noise = {name: torch.zeros(shapes[name]) for name in map(our_name, order)}
    loader_pass()
    for deviation in deviations:
        loader_pass()
        noise = {name: n + torch.normal(0.0, deviation, n.shape, generator=generator) for name, n in noise.items()}
        yield noise


def compute(
    case: dict[str, Any],
    about: dict[str, Any],
    params: MeasureParams,
    pair: tuple[Supernet, Supernet],
    sets: dict[str, Images],
) -> dict[str, Any]:
    """Every quantity of one case with our code in official mode."""
    initial, trained = pair
    statistics = {name: buffer.clone() for name, buffer in trained.named_buffers()}
    genotype = Genotype.decode(case["encoding"])
    trained.eval()
    with torch.no_grad():
        logits = trained(sets["logits"].images, genotype)
    data = SearchData(*sets["bn_recalibration"], *sets["validation"], num_classes=about["num_classes"])
    probe = Probe(trained, data, params, seed=0, initial=initial)
    taken = take(probe, genotype, ["loss", "angle"])
    top1 = probe.evaluate(genotype)[1]
    noises = official_noise(trained, about["parameter_order"], steps(params.flatness), case["noise_seed"])
    losses = mean_over(probe.outcomes(genotype, noises)[:, 0].double().numpy(), params).tolist()
    for name, buffer in trained.named_buffers():
        buffer.copy_(statistics[name])
    return {
        "logits": logits.tolist(),
        "losses": losses,
        "loss_unperturbed": taken["loss"],
        "flatness": flatness(losses, params.flatness.sigma, params.flatness.alpha),
        "top1": top1,
        "angle": taken["angle"],
        "angle_normalised": taken["angle"] / np.pi,
    }


def compare(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """``{quantity: {"max_abs", "max_rel", "n", "ok"}}`` over all cases that name the quantity."""
    result = {}
    for name, tolerance in TOLERANCES.items():
        pairs = [(ours[name], theirs[name]) for ours, theirs in zip(found, expected, strict=True) if name in theirs]
        ours, theirs = (np.concatenate([np.ravel(value) for value in side]) for side in zip(*pairs, strict=True))
        gap = np.abs(ours - theirs)
        result[name] = {
            "max_abs": float(gap.max()),
            "max_rel": float((gap / np.maximum(np.abs(theirs), 1e-12)).max()),
            "n": len(gap),
            "ok": bool(np.all(gap <= tolerance["atol"] + tolerance["rtol"] * np.abs(theirs))),
        }
    return result


def read_cases(folder: Path) -> dict[str, Any]:
    """The content of ``cases.json``.

    Raises:
        GenasError: missing, no JSON, no cases, or no supernet's shape.
    """
    try:
        content: dict[str, Any] = json.loads((folder / "cases.json").read_text())
        shape = [content[key] for key in ("num_classes", "channels", "cells")]
        if not all(type(number) is int and 1 <= number <= LARGEST for number in shape):
            raise ValueError
        for case in content["cases"]:
            Genotype.decode(case["encoding"])
        return content
    except (OSError, ValueError, KeyError, TypeError, RecursionError, GenasError) as error:
        raise GenasError(f"{folder / 'cases.json'}: not a readable list of cases ({type(error).__name__})") from None


def read_networks(folder: Path, about: dict[str, Any]) -> tuple[Supernet, Supernet]:
    """The supernets before and after training."""
    pair = []
    for name in ("init", "final"):
        pair.append(Supernet(about["num_classes"], about["channels"], about["cells"]))
        load_official_supernet(pair[-1], folder / f"{name}.safetensors")
    return pair[0], pair[1]


def read_images(data: Path, about: dict[str, Any]) -> dict[str, Images]:
    """The images of the recalibration, the validation and the logits, prepared as ``cases.json`` says."""
    mean, std = (tuple(about["data"]["normalise"][key]) for key in ("mean", "std"))
    sets = {}
    for key in ("bn_recalibration", "validation", "logits"):
        what = about["data"][key]
        rows = np.arange(what["first"], what["first"] + what["count"])
        source = load_images(data, "parquet", "train" if what["split"] == "train" else "val", None, rows)
        sets[key] = Images(to_tensor(source.pixels, mean, std), torch.from_numpy(source.labels))
    return sets


def parity(folder: Path, data: Path) -> dict[str, dict[str, Any]]:
    """Compare all cases of ``folder`` on the CIFAR-10 parquet set in ``data``.

    Raises:
        GenasError: a file is missing or unreadable, or the checkpoints are of another shape than ``cases.json`` says.
    """
    about = read_cases(folder)
    pair, sets = read_networks(folder, about), read_images(data, about)
    params = settings(about)
    return compare([compute(case, about, params, pair, sets) for case in about["cases"]], about["cases"])

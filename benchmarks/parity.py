"""Our search measures in official mode against numbers that the official code computed (``genas parity DIR``).

The folder has two supernets of the official code, before and after training (``init``, ``final``), and ``cases.json``:
how images were prepared, and for some architectures what the official evaluator returned. Everything is computed anew
by this project's code and compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.errors import GenasError
from models.official.vector import official_angle
from models.official.weights import load_official_supernet, our_name
from models.spaces.darts.genotype import Genotype
from models.spaces.darts.supernet import Supernet
from pipeline.config import AngleParams, FlatnessParams, MeasureParams
from pipeline.data.reading.halves import SearchData
from pipeline.data.reading.images import load_images, to_tensor
from pipeline.measures.flatness import flatness, steps
from pipeline.probe.plain import Probe

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


def settings(about: dict[str, Any]) -> FlatnessParams:
    """Flatness as the official code takes it."""
    return FlatnessParams(
        sigma=tuple(about["sigma"]),
        alpha=1.0,
        noise="cumulative",
        draws=1,
        positions="all",
        direction="random",
        magnitude="absolute",
        hessian_iterations=1,
        hessian_images=1,
    )


def batch_mean_loss(network: Supernet, genotype: Genotype, images: Images, batch_size: int) -> float:
    """The mean of the batch means, as the official evaluator averages."""
    network.eval()
    with torch.no_grad():
        pairs = zip(images.images.split(batch_size), images.labels.split(batch_size), strict=True)
        return float(np.mean([float(F.cross_entropy(network(x, genotype), y)) for x, y in pairs]))


def official_losses(
    network: Supernet, genotype: Genotype, images: Images, about: dict[str, Any], noise_seed: int
) -> list[float]:
    """Losses after each cumulative perturbation of all parameters, from one stream of noise; weights come back.

    The official loaders take one number of the same stream at each pass over their data: one for the recalibration,
    one for each evaluation.
    """
    generator = torch.Generator().manual_seed(noise_seed)

    def loader_pass() -> None:
        torch.empty((), dtype=torch.int64).random_(generator=generator)

    batch_size = about["data"]["validation"]["batch_size"]
    parameters = dict(network.named_parameters())
    order = [parameters[our_name(name)] for name in about["parameter_order"]]
    kept = [parameter.detach().clone() for parameter in order]
    losses = []
    loader_pass()
    for deviation in steps(settings(about)):
        loader_pass()
        with torch.no_grad():
            for parameter in order:
                parameter.add_(torch.normal(0.0, deviation, parameter.shape, generator=generator))
        losses.append(batch_mean_loss(network, genotype, images, batch_size))
    with torch.no_grad():
        for parameter, value in zip(order, kept, strict=True):
            parameter.copy_(value)
    return losses


def compute(
    case: dict[str, Any], about: dict[str, Any], pair: tuple[Supernet, Supernet], sets: dict[str, Images]
) -> dict[str, Any]:
    """Every quantity of one case with our code in official mode."""
    initial, trained = pair
    statistics = {name: buffer.clone() for name, buffer in trained.named_buffers()}
    genotype, validation = Genotype.decode(case["encoding"]), sets["validation"]
    recalibration = about["data"]["bn_recalibration"]
    sigma = about["sigma"]
    params = MeasureParams(
        scorer="plain",
        precision="float32",
        images=len(validation.labels),
        batch_size=recalibration["batch_size"],
        mean="batches",
        recalibrate_batch_size=recalibration["batch_size"],
        recalibrate_images=recalibration["count"],
        recalibrate="official",
        zero_cost_images=2,
        flatness=settings(about),
        angle=AngleParams(version="official"),
    )
    trained.eval()
    with torch.no_grad():
        logits = trained(sets["logits"].images, genotype)
    data = SearchData(*sets["bn_recalibration"], *validation, num_classes=about["num_classes"])
    probe = Probe(trained, data, params, seed=0)
    probe.recalibrate(genotype)
    unperturbed = batch_mean_loss(trained, genotype, validation, about["data"]["validation"]["batch_size"])
    _, accuracy = probe.evaluate(genotype)
    losses = official_losses(trained, genotype, validation, about, case["noise_seed"])
    for name, buffer in trained.named_buffers():
        buffer.copy_(statistics[name])
    radians = official_angle(initial, trained, genotype)
    return {
        "logits": logits.tolist(),
        "losses": losses,
        "loss_unperturbed": unperturbed,
        "flatness": flatness(losses, sigma),
        "top1": accuracy,
        "angle": radians,
        "angle_normalised": radians / np.pi,
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
    return compare([compute(case, about, pair, sets) for case in about["cases"]], about["cases"])

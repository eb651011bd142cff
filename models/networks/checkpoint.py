"""Networks on disk: safetensors whose header says how to rebuild the network and how to prepare its pixels."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from timm.models._features import FeatureGetterNet

from models.errors import GenasError
from models.spaces.base.weights import load_state, save_weights
from models.spaces.darts.genotype import Genotype
from models.spaces.darts.network import GenasNetwork

_KEY = "genas"


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become network input; travels with the weights to every later stage.

    RGB in [0, 1] is normalised with ``mean`` and ``std``; evaluation resizes the shorter side to
    ``size / crop_pct`` and crops the centre. ``resize`` is the library that does it: ``pillow``, with antialiasing, or
    ``opencv``, without.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bilinear"
    crop_pct: float = 1.0
    resize: str = "pillow"


@dataclass(frozen=True)
class NetworkFile:
    """What the header of a network file says."""

    genotype: Genotype
    architecture: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]


def architecture_of(network: GenasNetwork) -> dict[str, Any]:
    """The arguments that build a network again, but for its genotype."""
    return {
        "width": network.width,
        "layers": network.layers,
        "stem": network.stem_kind,
        "num_classes": network.num_classes,
        "in_chans": next(network.stem0.parameters()).shape[1],
        "auxiliary": hasattr(network, "auxiliary_head"),
    }


def save_network(path: Path, network: GenasNetwork, preprocessing: Preprocessing, classes: list[str]) -> None:
    """Write weights and header; the bytes depend on nothing else."""
    header = {
        "genotype": network.genotype.to_dict(),
        "architecture": architecture_of(network),
        "preprocessing": asdict(preprocessing),
        "classes": list(classes),
    }
    save_weights(path, network, {_KEY: json.dumps(header, sort_keys=True)})


def read_header(path: Path) -> NetworkFile:
    """The header of a network file, without its weights.

    Raises:
        GenasError: the file is missing, no safetensors, or was not written by :func:`save_network`.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
        pre = header["preprocessing"]
        return NetworkFile(
            Genotype.from_dict(header["genotype"]),
            header["architecture"],
            Preprocessing(**{**pre, "mean": tuple(pre["mean"]), "std": tuple(pre["std"])}),
            tuple(header["classes"]),
        )
    except FileNotFoundError:
        raise GenasError(f"{path}: no such weights file") from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, GenasError) as error:
        raise GenasError(f"{path}: not a network file of this project ({type(error).__name__})") from None


def load_network(path: Path, device: torch.device | str = "cpu") -> GenasNetwork:
    """The network of a file, in evaluation mode, its ``pretrained_cfg`` holding the preprocessing.

    Raises:
        GenasError: as :func:`read_header` and :func:`load_state`.
    """
    file = read_header(path)
    pre = file.preprocessing
    overlay = {
        "input_size": (3, pre.size, pre.size),
        "mean": pre.mean,
        "std": pre.std,
        "interpolation": pre.interpolation,
        "crop_pct": pre.crop_pct,
        "num_classes": file.architecture["num_classes"],
    }
    network = timm.create_model(
        "genas_network", genotype=file.genotype, pretrained_cfg_overlay=overlay, **file.architecture
    )
    load_state(network, load_file(str(path)), path)
    return network.to(device).eval()


def load_backbone(path: Path, output_stride: int = 32) -> FeatureGetterNet:
    """The same network as a feature extractor: a call gives the maps at strides 4, 8, 16 and 32 (or at most
    ``output_stride``); ``.feature_info`` has ``channels()`` and ``reduction()``.

    Raises:
        GenasError: as :func:`load_network`, and when the network was trained with the ``cifar`` stem, whose
            strides 1, 2, 4 no detector or segmenter reads.
    """
    file = read_header(path)
    if file.architecture["stem"] != "imagenet":
        raise GenasError(f"{path}: trained with the cifar stem (strides 1, 2, 4); a backbone needs the imagenet stem")
    architecture = {**file.architecture, "auxiliary": False, "output_stride": output_stride}
    backbone = timm.create_model("genas_network", genotype=file.genotype, features_only=True, **architecture)
    heads = ("classifier.", "auxiliary_head.")
    state = {name: value for name, value in load_file(str(path)).items() if not name.startswith(heads)}
    load_state(backbone.model, state, path)
    return backbone

"""Networks on disk: safetensors whose header says how to rebuild the network and how to prepare its pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from timm.models._features import FeatureGetterNet
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.networks.files.header import NetworkFile, parse
from genas.models.spaces.base.preprocessing import Preprocessing
from genas.models.spaces.base.weights import check_state, load_state, save_weights
from genas.models.spaces.darts.network import GenasNetwork

__all__ = [
    "NetworkFile",
    "Preprocessing",
    "architecture_of",
    "load_backbone",
    "load_network",
    "read_header",
    "save_network",
]

_KEY = "genas"


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
        GenasError: the file is missing, no safetensors, or its header is not as :func:`save_network` writes it.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except FileNotFoundError:
        raise GenasError(f"{path}: no such weights file") from None
    except (SafetensorError, OSError) as error:
        raise GenasError(f"{path}: not a network file of this project ({type(error).__name__})") from None
    if text is None:
        raise GenasError(f"{path}: not a network file of this project (no header)")
    try:
        return parse(text)
    except GenasError as error:
        raise GenasError(f"{path}: not a network file of this project ({error})") from None


def _read_state(path: Path, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors of a file but those whose names begin like one of ``without``.

    Raises:
        GenasError: it cannot be read.
    """
    try:
        return {name: tensor for name, tensor in load_file(str(path)).items() if not name.startswith(without)}
    except (SafetensorError, OSError, KeyError) as error:
        raise GenasError(f"{path}: its weights cannot be read ({type(error).__name__})") from None


def _built(path: Path, state: dict[str, Tensor], unpack: Callable[[Any], nn.Module], **arguments: Any) -> Any:
    """timm's network with the weights of a file.

    It is laid out without memory first: what a header claims is believed only where the weights are as large.

    Args:
        path: of the file, for messages.
        state: its tensors.
        unpack: what of timm's model the tensors are named after.
        arguments: for timm.

    Raises:
        GenasError: as :func:`~genas.models.spaces.base.weights.check_state`.
    """
    with torch.device("meta"):
        check_state(unpack(timm.create_model("genas_network", **arguments)), state, path)
    network = timm.create_model("genas_network", **arguments)
    load_state(unpack(network), state, path)
    return network


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
    shape = {"genotype": file.genotype, "pretrained_cfg_overlay": overlay, **file.architecture}
    network: GenasNetwork = _built(path, _read_state(path), lambda model: model, **shape)
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
    state = _read_state(path, without=("classifier.", "auxiliary_head."))
    shape = {"genotype": file.genotype, "features_only": True, **architecture}
    backbone: FeatureGetterNet = _built(path, state, lambda model: model.model, **shape)
    return backbone

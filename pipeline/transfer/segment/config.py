"""MMSegmentation's own configuration with as little of it replaced as the task allows.

Replaced are the backbone (with what follows from it in the heads), the normalisation of pixels, the data, and the
environment; pipelines, losses, optimiser and schedule stay the framework's unless ``segment.overrides`` says
otherwise. :func:`differences` lists exactly what was replaced, and ``docs/transfer.md`` says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmseg
import torch
from mmengine.config import Config

from models.errors import GenasError
from models.networks.checkpoint import load_backbone, read_header
from pipeline.config import SegmentParams

ABSENT = "(absent)"


@dataclass(frozen=True)
class Scenes:
    """The data set: its folder, its layout (:mod:`pipeline.transfer.segment.data`) and its classes without void."""

    root: Path
    layout: str
    classes: tuple[str, ...]


def framework_config(base: str) -> Config:
    """A configuration as MMSegmentation ships it, by its path below ``configs/``.

    Raises:
        GenasError: no such file in the installed package.
    """
    folder = Path(mmseg.__file__).parent / ".mim" / "configs"
    if not (folder / base).is_file():
        raise GenasError(
            f"segment.base: the installed MMSegmentation {mmseg.__version__} has no configuration {base!r}"
        )
    return Config.fromfile(str(folder / base))


def _heads(cfg: Config) -> list[Any]:
    return [cfg.model[name] for name in ("decode_head", "auxiliary_head") if name in cfg.model]


def _replace_backbone(cfg: Config, weights: Path, classes: int) -> None:
    """The backbone, the channels it hands to the heads, its normalisation of pixels, and the number of classes."""
    pixels = read_header(weights).preprocessing
    backbone: Any = load_backbone(weights, output_stride=8)
    channels = backbone.feature_info.channels()
    cfg.model.backbone = {
        "type": "GenasBackbone",
        "checkpoint": str(weights),
        "output_stride": 8,
        "norm_cfg": cfg.model.backbone.norm_cfg,
        "norm_eval": cfg.model.backbone.norm_eval,
        "with_cp": False,
    }
    cfg.model.pretrained = None
    cfg.model.data_preprocessor.update(
        mean=[255 * value for value in pixels.mean], std=[255 * value for value in pixels.std], bgr_to_rgb=True
    )
    for head in _heads(cfg):
        index = head.in_index
        head.in_channels = channels[index] if isinstance(index, int) else [channels[i] for i in index]
        head.num_classes = classes


def _replace_data(cfg: Config, scenes: Scenes) -> None:
    for name, split in (("train", "train"), ("val", "val"), ("test", "val")):
        loader = cfg[f"{name}_dataloader"]
        loader.dataset = {
            "type": "SceneDataset",
            "data_root": str(scenes.root),
            "layout": scenes.layout,
            "split": split,
            "metainfo": {"classes": scenes.classes},
            "pipeline": loader.dataset.pipeline,
        }
    cfg.train_dataloader.sampler.type = "ResumableSampler"


def _replace_environment(cfg: Config, seed: int, work_dir: Path, device: torch.device, distributed: bool) -> None:
    """Seed, folder, processes; the framework's checkpoints are pickles, the stage keeps its own.

    SyncBN stays as it is written: in one process MMEngine makes it BatchNorm, in several on CPUs, where it does not
    exist, this does.
    """
    cfg.work_dir = str(work_dir)
    cfg.randomness = {"seed": seed}
    cfg.log_level = "WARNING"
    cfg.default_hooks.checkpoint = None
    if not distributed:
        return
    cfg.launcher = "pytorch"
    if device.type == "cpu":
        cfg.model_wrapper_cfg = {"type": "MMDistributedDataParallel", "device_ids": None, "forward_sync_buffers": False}
        for part in (cfg.model.backbone, *_heads(cfg)):
            part.norm_cfg.type = "BN"


def _override(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Merge dotted keys. A list given where the framework has a tuple becomes a tuple, as YAML knows none.

    Raises:
        GenasError: a key that the configuration does not have (a mapping as value may bring new keys).
    """
    merged = {}
    for key, value in overrides.items():
        node: Any = cfg
        for part in key.split("."):
            try:
                node = node[int(part)] if isinstance(node, Sequence) and not isinstance(node, str) else node[part]
            except (KeyError, IndexError, TypeError, ValueError):
                raise GenasError(f"segment.overrides: the configuration has no key {key!r}") from None
        merged[key] = tuple(value) if isinstance(node, tuple) and isinstance(value, list) else value
    cfg.merge_from_dict(merged)
    for name in ("train", "val", "test"):
        loader = cfg[f"{name}_dataloader"]
        loader.persistent_workers = loader.persistent_workers and loader.num_workers > 0


def _share_batch(cfg: Config, params: SegmentParams, processes: int) -> None:
    """Give each process its part of a step's images, so that a step is the same in any number of them.

    The framework counts images of one process and says in a configuration's name for how many (``4xb2``: four of two
    images each); ``segment.overrides`` counts those of the step.

    Raises:
        GenasError: they cannot be shared out evenly.
    """
    whole, named = cfg.train_dataloader.batch_size, re.search(r"_(\d+)xb\d+[-_.]", params.base)
    if named and "train_dataloader.batch_size" not in params.overrides:
        whole *= int(named[1])
    if whole % processes:
        raise GenasError(f"segment: the {whole} images of a step cannot be shared by {processes} processes")
    cfg.train_dataloader.batch_size = whole // processes


def segmenter_config(
    params: SegmentParams,
    scenes: Scenes,
    weights: Path,
    work_dir: Path,
    device: torch.device,
    processes: int = 1,
) -> Config:
    """The configuration of a row.

    Args:
        params: the stage's section, with ``base`` and ``overrides``.
        scenes: the data set.
        weights: the network file of the backbone.
        work_dir: where the framework may write.
        device: where it trains.
        processes: how many train together.

    Raises:
        GenasError: an unknown base, a file that is no network with the ``imagenet`` stem, an unknown override, a batch
            that the processes cannot share.
    """
    cfg = framework_config(params.base)
    _replace_backbone(cfg, weights, len(scenes.classes))
    _replace_data(cfg, scenes)
    _replace_environment(cfg, params.seed, work_dir, device, processes > 1)
    _override(cfg, params.overrides)
    _share_batch(cfg, params, processes)
    return cfg


def _leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key to value; sequences are walked only where they hold mappings."""
    if isinstance(node, Mapping):
        items: Any = node.items()
    elif isinstance(node, Sequence) and any(isinstance(item, Mapping) for item in node):
        items = enumerate(node)
    else:
        return {prefix.removesuffix("."): node}
    return {key: leaf for name, child in items for key, leaf in _leaves(child, f"{prefix}{name}.").items()}


def differences(default: Config, ours: Config) -> dict[str, tuple[Any, Any]]:
    """``{dotted key: (the framework's value, ours)}`` for every value that differs; :data:`ABSENT` where none is."""
    a, b = _leaves(default.to_dict()), _leaves(ours.to_dict())
    pairs = {key: (a.get(key, ABSENT), b.get(key, ABSENT)) for key in [*a, *(key for key in b if key not in a)]}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}

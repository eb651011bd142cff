"""MMSegmentation's own DeepLab-v3 configuration, with the few lines replaced that another backbone and other data need.

Replaced are the backbone (with what follows from it in the heads), the normalisation of pixels, the data, and the
environment; pipelines, losses, optimiser and schedule stay the framework's unless ``segment.overrides`` says
otherwise. ``docs/transfer.md`` has every line and its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmseg
import torch
from mmengine.config import Config

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import load_backbone, read_header
from genas.pipeline.config import SegmentParams
from genas.pipeline.transfer.frameworks import configuration
from genas.pipeline.transfer.frameworks.configuration import dotted, images_per_process, shipped
from genas.pipeline.transfer.frameworks.overrides import built_from, check_overrides, require_positive

HEADS = ("decode_head", "auxiliary_head")
DECIDED = (
    "model.pretrained",
    "model.backbone.type",
    "model.backbone.checkpoint",
    *(f"model.data_preprocessor.{key}" for key in ("mean", "std", "bgr_to_rgb")),
    *(f"model.{head}.{key}" for head in HEADS for key in ("in_channels", "num_classes")),
    *(
        f"{split}_dataloader.dataset.{key}"
        for split in ("train", "val", "test")
        for key in ("type", "data_root", "layout", "split", "metainfo")
    ),
    "train_dataloader.sampler.type",
    "default_hooks.checkpoint",
    "randomness.seed",
    "work_dir",
    "resume",
    "launcher",
    "visualizer.name",
)
"""Lines that this stage itself decides; an override of one is refused."""
POSITIVE = (
    "train_cfg.max_iters",
    "train_cfg.val_interval",
    "train_dataloader.batch_size",
    "optim_wrapper.optimizer.lr",
)
"""Without which nothing is trained or validated."""


@dataclass(frozen=True)
class Setting:
    """What the configuration takes from this row: its network file, its data, where and in how many processes it runs.

    Attributes:
        checkpoint: the network file.
        data: the folder of the data set.
        layout: a key of :data:`genas.pipeline.data.reading.scenes.LAYOUTS`.
        classes: their names, without the ignored one.
        device: where it trains.
        work: a folder that the framework may write to.
        processes: how many train together.
    """

    checkpoint: Path
    data: Path
    layout: str
    classes: tuple[str, ...]
    device: torch.device
    work: Path
    processes: int = 1


def framework_config(base: str) -> Config:
    """A configuration as MMSegmentation ships it, by its path below ``configs/``.

    Raises:
        GenasError: no such file in the installed package, or one whose backbone is no ResNet that could be replaced.
    """
    framework, example = f"the installed MMSegmentation {mmseg.__version__}", "deeplabv3/deeplabv3_r50-d8_4xb2-40k"
    folder = Path(mmseg.__file__).parent / ".mim" / "configs"
    path = shipped("segment", framework, folder, base, f"{example}_cityscapes-512x1024.py")
    cfg = Config.fromfile(str(path))
    lines = dotted(cfg.to_dict())
    segmenter, backbone = lines.get("model.type"), lines.get("model.backbone.type")
    if segmenter != "EncoderDecoder" or not str(backbone).startswith("ResNet"):
        raise GenasError(f"segment.base: {base}: {segmenter} over {backbone}, expected EncoderDecoder over a ResNet")
    return cfg


def _heads(cfg: Config) -> list[Any]:
    return [cfg.model[name] for name in HEADS if name in cfg.model]


def _replace_backbone(cfg: Config, setting: Setting) -> None:
    """The backbone, the channels it hands to the heads, its normalisation of pixels, and the number of classes."""
    pixels = read_header(setting.checkpoint).preprocessing
    backbone: Any = load_backbone(setting.checkpoint, output_stride=8)
    channels = backbone.feature_info.channels()
    cfg.model.backbone = {
        "type": "GenasBackbone",
        "checkpoint": str(setting.checkpoint),
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
        head.num_classes = len(setting.classes)


def _replace_data(cfg: Config, setting: Setting) -> None:
    """The data sets of the three loaders, whose pipelines stay, and the order of training images."""
    for name, split in (("train", "train"), ("val", "val"), ("test", "val")):
        loader = cfg[f"{name}_dataloader"]
        loader.dataset = {
            "type": "SceneDataset",
            "data_root": str(setting.data),
            "layout": setting.layout,
            "split": split,
            "metainfo": {"classes": setting.classes},
            "pipeline": loader.dataset.pipeline,
        }
    cfg.train_dataloader.sampler.type = "ResumableSampler"


def _replace_environment(cfg: Config, setting: Setting, seed: int) -> None:
    """Seed, folder, processes; the framework's checkpoints are pickles, the stage keeps its own.

    SyncBN stays as it is written: in one process MMEngine makes it BatchNorm, in several on CPUs, where it does not
    exist, this does.
    """
    cfg.work_dir = str(setting.work)
    cfg.randomness = {"seed": seed}
    cfg.log_level = "WARNING"
    cfg.default_hooks.checkpoint = None
    if setting.processes == 1:
        return
    cfg.launcher = "pytorch"
    if setting.device.type == "cpu":
        cfg.model_wrapper_cfg = {"type": "MMDistributedDataParallel", "device_ids": None, "forward_sync_buffers": False}
        for part in (cfg.model.backbone, *_heads(cfg)):
            part.norm_cfg.type = "BN"


def _with_parents(keys: Mapping[str, Any]) -> set[str]:
    """Dotted keys, and those of the mappings around them."""
    return {".".join(parts[:depth]) for parts in (key.split(".") for key in keys) for depth in range(1, len(parts) + 1)}


def _fitted(value: Any, default: Any) -> Any:
    """An override as MMEngine wants it in the place of a plain value.

    A list over a tuple becomes one, as YAML knows none; a mapping, say over ``clip_grad``'s None, replaces it.
    """
    if isinstance(value, list) and isinstance(default, tuple):
        return tuple(value)
    return {"_delete_": True, **value} if isinstance(value, Mapping) else value


def _override(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Set MMSegmentation's dotted keys from ``segment.overrides``."""
    plain = dotted(cfg.to_dict())
    cfg.merge_from_dict(
        {key: _fitted(value, plain[key]) if key in plain else value for key, value in overrides.items()}
    )
    for name in ("train", "val", "test"):
        loader = cfg[f"{name}_dataloader"]
        loader.persistent_workers = loader.persistent_workers and loader.num_workers > 0


def _share_batch(cfg: Config, params: SegmentParams, processes: int) -> None:
    """Give each process its part of a step's images.

    The framework counts images of one process and says in a configuration's name for how many (``4xb2``: four of two
    images each); ``segment.overrides`` counts those of the step.
    """
    images, named = cfg.train_dataloader.batch_size, re.search(r"_(\d+)xb\d+[-_.]", params.base)
    if named and "train_dataloader.batch_size" not in params.overrides:
        images *= int(named[1])
    cfg.train_dataloader.batch_size = images_per_process("segment", images, processes)


def configure(params: SegmentParams, setting: Setting) -> Config:
    """The configuration of a row: the framework's, the replaced lines, then the overrides.

    Raises:
        GenasError: as :func:`framework_config`; a file that is no network with the ``imagenet`` stem; an unknown
            override, or one of a line that the stage itself decides; no iterations, images or learning rate; a batch
            that the processes cannot share.
    """
    cfg = framework_config(params.base)
    _replace_backbone(cfg, setting)
    _replace_data(cfg, setting)
    _replace_environment(cfg, setting, params.seed)
    lines = cfg.to_dict()
    check_overrides("segment", params.overrides, lines, _with_parents(dotted(lines)), DECIDED)
    with built_from("segment", params.overrides):
        _override(cfg, params.overrides)
        numbers = dotted(cfg.to_dict())
    require_positive("segment", {key: numbers.get(key) for key in POSITIVE})
    _share_batch(cfg, params, setting.processes)
    return cfg


def differences(base: str, cfg: Config) -> dict[str, tuple[Any, Any]]:
    """How a configuration differs from the framework's own: ``{key: (theirs, ours)}``."""
    return configuration.differences(framework_config(base).to_dict(), cfg.to_dict())

"""Detectron2's own RetinaNet configuration, with the few lines replaced that another backbone and other data need.

``docs/transfer.md`` has every line and its reason.
"""

from __future__ import annotations

import logging
import reprlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import detectron2
import torch
from detectron2.config import CfgNode

from genas.models.errors import GenasError
from genas.models.networks.detectron2 import BUILDER, add_genas_config
from genas.models.networks.files.checkpoint import read_header
from genas.pipeline.config import DetectParams
from genas.pipeline.transfer.frameworks import configuration
from genas.pipeline.transfer.frameworks.configuration import dotted, shipped
from genas.pipeline.transfer.frameworks.overrides import check_overrides, require_positive

with warnings.catch_warnings():
    # It imports pkg_resources, which warns of its own end; the project pins the setuptools that still has it.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    from detectron2 import model_zoo

UNREAD = (
    "MODEL.META_ARCHITECTURE",
    "SOLVER.REFERENCE_WORLD_SIZE",
    "DATALOADER.SAMPLER_TRAIN",
    "DATASETS.TRAIN_REPEAT_FACTOR",
    "TEST.EVAL_PERIOD",
    "TEST.PRECISE_BN.ENABLED",
    "TEST.AUG.ENABLED",
    "OUTPUT_DIR",
    "MODEL.LOAD_PROPOSALS",
    "DATASETS.PROPOSAL_FILES_TRAIN",
    "DATASETS.PROPOSAL_FILES_TEST",
    "SOLVER.CHECKPOINT_PERIOD",
)
"""Keys that this stage does not act on; an override of one would be silently without effect, so it is refused. Files of
proposals, which a RetinaNet does not take, the framework would even unpickle."""


@dataclass(frozen=True)
class Setting:
    """What the configuration takes from this row: its network file, its registered data, where it runs."""

    checkpoint: Path
    train: str
    val: str
    classes: int
    device: torch.device


def framework_config(base: str) -> CfgNode:
    """A configuration of Detectron2's model zoo, with this project's own node added.

    Raises:
        GenasError: no such configuration, or it is not a RetinaNet.
    """
    framework = f"the installed Detectron2 {detectron2.__version__}"
    folder = Path(model_zoo.__file__).parent / "configs"
    path = shipped("detect", framework, folder, base, "COCO-Detection/retinanet_R_50_FPN_1x.yaml")
    # The framework reads its own file with yaml.unsafe_load and warns of it on every run.
    reader = logging.getLogger("fvcore.common.config")
    level = reader.level
    reader.setLevel(logging.ERROR)
    try:
        cfg = model_zoo.get_config(str(path.relative_to(folder.resolve())))
    finally:
        reader.setLevel(level)
    if cfg.MODEL.META_ARCHITECTURE != "RetinaNet":
        raise GenasError(f"detect.base: {base} is a {cfg.MODEL.META_ARCHITECTURE}, expected a RetinaNet")
    add_genas_config(cfg)
    return cfg


def _replaced_lines(params: DetectParams, setting: Setting) -> dict[str, Any]:
    """The lines that differ from the framework's configuration before any override.

    Pixels are RGB as the network was trained on, and normalised with its mean and standard deviation, which a network
    file gives for [0, 1] and Detectron2 wants for [0, 255].
    """
    pixels = read_header(setting.checkpoint).preprocessing
    return {
        "MODEL.BACKBONE.NAME": BUILDER,
        "MODEL.GENAS.CHECKPOINT": str(setting.checkpoint),
        "MODEL.WEIGHTS": "",
        "MODEL.PIXEL_MEAN": [255 * value for value in pixels.mean],
        "MODEL.PIXEL_STD": [255 * value for value in pixels.std],
        "INPUT.FORMAT": "RGB",
        "DATASETS.TRAIN": (setting.train,),
        "DATASETS.TEST": (setting.val,),
        "MODEL.RETINANET.NUM_CLASSES": setting.classes,
        "MODEL.DEVICE": str(setting.device),
        "SEED": params.seed,
    }


def _override(cfg: CfgNode, overrides: Mapping[str, Any]) -> None:
    """Set Detectron2's keys from ``detect.overrides``. An integer given where the framework has a float becomes one.

    Raises:
        GenasError: a value of the wrong type.
    """
    defaults = dotted(cfg)
    for key, value in overrides.items():
        default = defaults[key]
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        try:
            cfg.merge_from_list([key, value])
        except (ValueError, KeyError, AssertionError, RecursionError, MemoryError):  # texts are read as literals
            kind = type(default).__name__
            raise GenasError(
                f"detect.overrides: {key} is {reprlib.repr(value)}, expected a {kind} like {default!r}"
            ) from None


def configure(params: DetectParams, setting: Setting) -> CfgNode:
    """The frozen configuration of a row: the framework's, the replaced lines, then the overrides.

    On a CPU, images are loaded by the training process itself (``DATALOADER.NUM_WORKERS`` 0); the number of loading
    processes changes no result.

    Raises:
        GenasError: as :func:`framework_config`; a file that is no network; an unknown override, one of a line that the
            stage itself decides or does not read, or of the wrong type; no iterations, images or learning rate; mixed
            precision without a GPU.
    """
    cfg = framework_config(params.base)
    replaced = _replaced_lines(params, setting)
    check_overrides("detect", params.overrides, cfg, dotted(cfg).keys(), {*replaced, *UNREAD})
    for key, value in replaced.items():
        cfg.merge_from_list([key, value])
    if setting.device.type == "cpu":
        cfg.DATALOADER.NUM_WORKERS = 0
    _override(cfg, params.overrides)
    numbers = {f"SOLVER.{key}": cfg.SOLVER[key] for key in ("MAX_ITER", "IMS_PER_BATCH", "BASE_LR")}
    require_positive("detect", numbers | {"INPUT.MIN_SIZE_TRAIN": min(cfg.INPUT.MIN_SIZE_TRAIN, default=0)})
    if cfg.SOLVER.AMP.ENABLED and setting.device.type != "cuda":
        raise GenasError(f"detect.overrides: SOLVER.AMP.ENABLED needs a GPU, the device is {setting.device}")
    cfg.freeze()
    return cfg


def differences(base: str, cfg: CfgNode) -> dict[str, tuple[Any, Any]]:
    """How a configuration differs from the framework's own: ``{key: (theirs, ours)}``."""
    return configuration.differences(framework_config(base), cfg)

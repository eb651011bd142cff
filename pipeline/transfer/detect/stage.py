"""Stage ``detect``: a row's network as the backbone of Detectron2's RetinaNet (Table 4, COCO).

A killed run that is started again ends, on a CPU, with the same bytes as an unbroken one; on GPUs as far as the
kernels repeat themselves. Several processes share the images of a batch.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.utils import comm
from torch import Tensor, nn

from genas.models.spaces.base.counting import count_macs
from genas.pipeline.context import Context
from genas.pipeline.data.reading.layouts import dataset_root
from genas.pipeline.machine.distributed import leader, size
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.retrain.network_file import retrained
from genas.pipeline.transfer.detect.config import Setting, configure
from genas.pipeline.transfer.detect.data import Record, narrowed, register, val_loader
from genas.pipeline.transfer.detect.examples import write_examples
from genas.pipeline.transfer.detect.training import train
from genas.pipeline.transfer.frameworks.configuration import portable
from genas.pipeline.transfer.frameworks.outputs import write_history, write_weights
from genas.pipeline.transfer.frameworks.training import open_scratch


def _quiet() -> None:
    """Keep off the screen what Detectron2 says that no user can act on."""
    # Every exception that the trainer passes on, a user's error included, it also prints with its traceback.
    logging.getLogger("detectron2.engine.train_loop").setLevel(logging.CRITICAL)
    # Its anchors call torch.meshgrid without the argument that torch will want some day.
    warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)


def _prepare(context: Context) -> tuple[CfgNode, Scratch, list[str]]:
    """The row's configuration, its data checked and registered; its scratch folder; the class names."""
    params, checkpoint = context.params.detect, retrained(context)
    root, scratch = dataset_root(context, params.dataset), open_scratch(context, params, checkpoint)
    instances = None if params.categories is None else narrowed(root, params.categories, scratch.folder)
    train_name, val_name, classes = register(params.dataset, root, instances)
    cfg = configure(params, Setting(checkpoint, train_name, val_name, len(classes), context.device))
    return cfg, scratch, classes


def evaluate(cfg: CfgNode, model: RetinaNet) -> dict[str, float]:
    """COCO's average precisions in percent, by the official evaluation; empty on all processes but the first.

    A detector that predicts nothing has precision 0.
    """
    evaluator = COCOEvaluator(cfg.DATASETS.TEST[0], tasks=("bbox",), use_fast_impl=False)
    with contextlib.redirect_stdout(io.StringIO()):
        results = inference_on_dataset(model, val_loader(cfg), evaluator)
    if not leader():
        return {}
    precisions = {key.lower(): float(results["bbox"][key]) for key in ("AP", "AP50", "AP75")}
    if math.isnan(precisions["ap"]):
        logging.getLogger(__name__).warning("the detector predicts no box on %s: AP is 0", cfg.DATASETS.TEST[0])
        return dict.fromkeys(precisions, 0.0)
    return precisions


class _Dense(nn.Module):
    """The part of a RetinaNet that is a function of pixels alone: backbone, pyramid and heads."""

    def __init__(self, detector: RetinaNet) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> Any:
        features = self.detector.backbone(x)
        return self.detector.head([features[name] for name in self.detector.head_in_features])


def cost(model: RetinaNet, sample: Record) -> dict[str, float]:
    """``params`` of the whole detector (frozen BatchNorm has none) and ``macs``, the multiply-adds of backbone, pyramid
    and heads for one image as the network sees it.

    Args:
        model: the RetinaNet.
        sample: a mapped image; its size is rounded up to multiples of the backbone's 32 pixels.
    """
    unit = model.backbone.size_divisibility
    height, width = (math.ceil(side / unit) * unit for side in sample["image"].shape[-2:])
    return {"params": sum(p.numel() for p in model.parameters()), "macs": count_macs(_Dense(model), (height, width))}


def _write(
    context: Context, cfg: CfgNode, model: RetinaNet, history: Sequence[Mapping[str, float]], classes: Sequence[str]
) -> None:
    """The row's files; paths in ``config.yaml`` are relative to the profile."""
    write_weights(context.out / "weights.safetensors", model, classes)
    write_history(context.out / "history.csv", history)
    lines = cfg.clone()
    lines.defrost()
    lines.MODEL.GENAS.CHECKPOINT = portable(cfg.MODEL.GENAS.CHECKPOINT, context.root)
    (context.out / "config.yaml").write_text(lines.dump())
    write_examples(context.out / "examples", cfg, model, classes)


def run(context: Context) -> dict[str, float] | None:
    """Train and evaluate the row's detector.

    Reads ``out/retrain/<row>/weights.safetensors`` and a COCO data set; leaves ``weights.safetensors`` (the whole
    detector), ``history.csv``, ``config.yaml`` and ``examples/`` (:mod:`genas.pipeline.transfer.detect.examples`).

    Returns:
        ``ap``, ``ap50``, ``ap75`` in percent on the validation split; ``params`` and ``macs`` of the detector
        (:func:`cost`) for the first validation image. None on all processes but the first.

    Raises:
        GenasError: an unknown base or override, a network file that is no backbone, a data set with missing, broken
            or wrongly annotated files, a loss that is no longer finite.
    """
    _quiet()
    if size() > 1:
        comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))  # as the framework's own launcher does
    cfg, scratch, classes = _prepare(context)
    model, history = train(cfg, context, scratch)
    metrics = evaluate(cfg, model)
    if not leader():
        return None
    metrics |= cost(model, next(iter(val_loader(cfg)))[0])
    _write(context, cfg, model, history, classes)
    scratch.close()
    return metrics

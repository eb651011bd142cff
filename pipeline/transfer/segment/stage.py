"""Stage ``segment``: a row's network as the backbone of MMSegmentation's DeepLab-v3 (Table 4, Cityscapes).

A killed run that is started again ends, on a CPU, with the same bytes as an unbroken one; on GPUs as far as cuDNN and
the interpolation kernels repeat themselves. Several processes share the images of a batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import mmengine.dist
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

import genas.models.networks.mmseg  # noqa: F401  (registers the backbone)
from genas.models.spaces.base.counting import count_macs
from genas.pipeline.context import Context
from genas.pipeline.data.reading.layouts import dataset_root
from genas.pipeline.data.reading.manifest import read_manifest
from genas.pipeline.data.reading.scenes import check_scenes, find_scenes
from genas.pipeline.machine.distributed import leader, size
from genas.pipeline.machine.resume import Scratch
from genas.pipeline.retrain.network_file import retrained
from genas.pipeline.transfer.frameworks.configuration import portable
from genas.pipeline.transfer.frameworks.outputs import write_history, write_weights
from genas.pipeline.transfer.frameworks.training import STATE, open_scratch
from genas.pipeline.transfer.segment.config import Setting, configure
from genas.pipeline.transfer.segment.data import CITYSCAPES_CLASSES
from genas.pipeline.transfer.segment.examples import write_examples
from genas.pipeline.transfer.segment.training import train, unwrapped

METRICS = {"miou": "mIoU", "macc": "mAcc", "aacc": "aAcc"}
"""The stage's names of metrics, and MMSegmentation's."""


def _quiet() -> None:
    """Keep off the screen what the framework and torch say that no user can act on."""
    for message in (
        "Fail to import",  # MMCV without compiled operations
        "Default ``avg_non_ignore``",  # a default that stays as it is
        "The draw is False",  # a hook that draws nothing
        "Setting MKL_NUM_THREADS",
        "Grad strides do not match",  # on CPUs, where the backbone works channels-last
    ):
        warnings.filterwarnings("ignore", message, UserWarning)
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)  # MMEngine's own call


def _prepare(context: Context) -> tuple[Config, Scratch, tuple[str, ...]]:
    """The row's configuration; its scratch folder; the class names, Cityscapes' own where the manifest lists none.

    The data are checked by the first process, and not again where a run is taken up.
    """
    params, checkpoint = context.params.segment, retrained(context)
    root, layout = dataset_root(context, params.dataset), context.params.data[params.dataset].layout
    classes = tuple(read_manifest(context, params.dataset)["classes"] or CITYSCAPES_CLASSES)
    scratch = open_scratch(context, params, checkpoint)
    work = scratch.folder / "work"
    cfg = configure(params, Setting(checkpoint, root, layout, classes, context.device, work, size()))
    if leader() and scratch.load(STATE) is None:
        for split in ("train", "val"):
            check_scenes(find_scenes(root, layout, split), len(classes))
    return cfg, scratch, classes


def cost(model: nn.Module, image_size: Sequence[int]) -> dict[str, float]:
    """``params`` and ``macs`` (multiply-adds) at inference, without the auxiliary head.

    Args:
        model: the segmenter.
        image_size: height and width in pixels.
    """
    params = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("auxiliary_head."))
    height, width = image_size
    return {"params": params, "macs": count_macs(model, (height, width))}


def _write(
    context: Context, cfg: Config, runner: Runner, history: Sequence[Mapping[str, float]], classes: Sequence[str]
) -> None:
    """The row's files; paths in ``config.py`` are relative to the profile, the framework's own folder is left out."""
    model = unwrapped(runner.model)
    write_weights(context.out / "weights.safetensors", model, classes)
    write_history(context.out / "history.csv", history)
    lines = Config({name: value for name, value in cfg.to_dict().items() if name != "work_dir"})
    (context.out / "config.py").write_text(portable(lines.pretty_text, context.root))
    write_examples(context.out / "examples", runner.val_dataloader.dataset, model, classes)


def run(context: Context) -> dict[str, float] | None:
    """Train and evaluate the row's segmenter.

    Reads ``out/retrain/<row>/weights.safetensors``, the data set and its manifest; leaves ``weights.safetensors`` (the
    whole segmenter), ``history.csv``, ``config.py`` and ``examples/``
    (:mod:`genas.pipeline.transfer.segment.examples`).

    Returns:
        ``miou``, ``macc``, ``aacc`` in percent on the validation split; ``params`` and ``macs`` of the segmenter
        (:func:`cost`) at the training crop's size. None on all processes but the first.

    Raises:
        GenasError: an unknown base or override, a network file that is no backbone, a data set with missing, broken
            or wrongly labelled files, a loss that is no longer finite.
    """
    _quiet()
    if context.device.type == "cuda" and context.device.index is not None:
        torch.cuda.set_device(context.device)
    cfg, scratch, classes = _prepare(context)
    runner, history = train(cfg, context, scratch)
    metrics: dict[str, float] | None = None
    if leader():
        metrics = {name: history.validation[theirs] for name, theirs in METRICS.items()}
        metrics |= cost(unwrapped(runner.model), cfg.model.data_preprocessor.size)
        _write(context, cfg, runner, history.rows, classes)
    mmengine.dist.barrier()
    scratch.close()
    return metrics

"""Iterations of the detector and of the segmenter, as the frameworks build them from their own configurations."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from torch import Tensor

import genas.models.networks.mmseg  # (registers the backbone)
import genas.pipeline.transfer.segment.data  # noqa: F401  (imports the framework's data sets, which print, in silence)
from genas.benchmarks import workload
from genas.benchmarks.devices.classification import Size, calibrated, network
from genas.benchmarks.devices.compare import Work
from genas.models.networks.files.checkpoint import Preprocessing, save_network
from genas.pipeline.config import REPOSITORY, load_params
from genas.pipeline.data.digits import SCENE, compose, ink_of
from genas.pipeline.transfer.detect import config as detect
from genas.pipeline.transfer.segment import config as segment

CLASSES = [str(digit) for digit in range(10)]


class Scene(NamedTuple):
    """A picture (3, side, side) uint8, its digits' boxes (n, 4) as left, top, right, bottom, their classes (n,), and a
    class for each pixel (side, side), 10 where there is no digit."""

    picture: Tensor
    boxes: Tensor
    classes: Tensor
    labels: Tensor


def scenes(size: Size) -> list[Scene]:
    """Composed digits, enlarged."""
    rng, ink, made = np.random.default_rng(workload.SEED), ink_of(workload.SEED)["train"], []
    times = size.side // SCENE
    for _ in range(size.scenes):
        picture, things = compose(ink, rng)
        labels = np.full((SCENE, SCENE), len(CLASSES))
        for label, mask, _ in things:
            labels[mask] = label
        boxes = torch.tensor([(x, y, x + width, y + height) for _, _, (x, y, width, height) in things])
        made.append(
            Scene(
                torch.from_numpy(picture.repeat(times, 0).repeat(times, 1)).permute(2, 0, 1).contiguous(),
                times * boxes.float(),
                torch.tensor([label for label, _, _ in things]),
                torch.from_numpy(labels.repeat(times, 0).repeat(times, 1)),
            )
        )
    return made


def write_backbone(path: Path, size: Size, made: list[Scene]) -> None:
    """A network file for the scenes: a detector freezes its BatchNorm statistics."""
    pixels = Preprocessing(size.side, (0.5,) * 3, (0.25,) * 3)
    images = torch.stack([(scene.picture / 255 - 0.5) / 0.25 for scene in made])
    save_network(path, calibrated(network(size, workload.CPU), images), pixels, CLASSES)


def detector(size: Size, device: torch.device) -> Work:
    """RetinaNet as Detectron2 trains it, at the rate with which its warm-up begins."""
    made = scenes(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        write_backbone(path, size, made)
        setting = detect.Setting(path, "train", "val", len(CLASSES), device)
        params = load_params(REPOSITORY).detect
        overrides = {"MODEL.FPN.OUT_CHANNELS": size.heads, "SOLVER.BASE_LR": 1e-5}
        cfg = detect.configure(params.model_copy(update={"overrides": overrides}), setting)
        torch.manual_seed(workload.SEED)
        model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    batch = []
    for scene in made:
        truth = Instances((size.side, size.side), gt_boxes=Boxes(scene.boxes), gt_classes=scene.classes)
        batch.append({"image": scene.picture, "instances": truth, "height": size.side, "width": size.side})

    def step() -> Tensor:
        with EventStorage(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)  # the framework's anchors
            loss: Tensor = sum(model(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Work(step, size.scenes)


def segmenter(size: Size, device: torch.device) -> Work:
    """DeepLab-v3 as MMSegmentation trains it, without dropout, which no two devices draw alike."""
    made = scenes(size)
    overrides: dict[str, Any] = {f"model.{head}.dropout_ratio": 0.0 for head in segment.HEADS}
    overrides |= {"model.decode_head.channels": 2 * size.heads, "model.auxiliary_head.channels": size.heads}
    overrides["model.data_preprocessor.size"] = [size.side, size.side]
    params = load_params(REPOSITORY).segment.model_copy(update={"overrides": overrides})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the framework says of itself
        path = Path(folder) / "weights.safetensors"
        write_backbone(path, size, made)
        place = Path(folder), "cityscapes", (*CLASSES, "ground"), device, Path(folder)
        cfg = segment.configure(params, segment.Setting(path, *place))
        register_all_modules(init_default_scope=False)
        torch.manual_seed(workload.SEED)
        model: Any = revert_sync_batchnorm(MODELS.build({**cfg.model, "_scope_": "mmseg"})).to(device).train()
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=scene.labels[None])) for scene in made]

    def step() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = {"inputs": [scene.picture for scene in made], "data_samples": samples}
            loss: Tensor = model.train_step(batch, optimizer)["loss"]
        return loss.detach()

    return Work(step, size.scenes)

"""A few validation images with their true and their predicted classes, as data that another package draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch import nn

from genas.pipeline.transfer.frameworks.outputs import emptied, write_png

PICTURES = 4
"""Images, evenly spaced in the validation split."""


@torch.no_grad()
def predict(model: nn.Module, sample: Any) -> Any:
    """A sample of the validation set with its prediction, both in the image file's pixels (``SegDataSample``)."""
    segmenter: Any = model.eval()
    return segmenter.test_step(pseudo_collate([sample]))[0]


def _class_ids(annotation: Any) -> np.ndarray:
    """A ``PixelData`` of int64 (1, height, width) as uint8 (height, width)."""
    return annotation.data.squeeze(0).cpu().numpy().astype(np.uint8)


def write_examples(folder: Path, dataset: Any, model: nn.Module, classes: Sequence[str]) -> None:
    """Leave ``0-image.png`` (RGB), ``0-labels.png`` and ``0-prediction.png`` (class ids, 255 ignored) ..., and
    ``classes.json``: the names of the classes, in the order of their ids."""
    emptied(folder)
    for number, index in enumerate(sorted({int(i) for i in np.linspace(0, len(dataset) - 1, PICTURES)})):
        sample = predict(model, dataset[index])
        with Image.open(sample.img_path) as file:
            write_png(folder / f"{number}-image.png", np.asarray(file.convert("RGB")))
        write_png(folder / f"{number}-labels.png", _class_ids(sample.gt_sem_seg))
        write_png(folder / f"{number}-prediction.png", _class_ids(sample.pred_sem_seg))
    (folder / "classes.json").write_text(json.dumps(classes, indent=1) + "\n")

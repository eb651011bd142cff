"""A few validation photographs with their true and their predicted boxes, as data that another package draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, DatasetMapper
from detectron2.data.detection_utils import read_image
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.structures import Instances

from genas.pipeline.transfer.detect.data import Record
from genas.pipeline.transfer.frameworks.outputs import emptied, write_png

PICTURES = 4
"""Photographs, the first of the validation split."""
BOXES = 20
"""Predicted boxes of a photograph, at most."""


@torch.no_grad()
def predict(model: RetinaNet, sample: Record) -> Instances:
    """All that a detector predicts for a mapped image, however low its scores (boxes in the image file's pixels)."""
    threshold, model.test_score_thresh = model.test_score_thresh, 0.0
    try:
        return model.eval()([sample])[0]["instances"].to("cpu")
    finally:
        model.test_score_thresh = threshold


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(float(value), 2) for value in box]


def true_boxes(record: Record, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The annotations of an image: ``box`` [x, y, width, height] in pixels, and ``label``."""
    return [{"box": _rounded(a["bbox"]), "label": classes[a["category_id"]]} for a in record["annotations"]]


def best_boxes(instances: Instances, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The :data:`BOXES` predictions of the highest scores, best first: as :func:`true_boxes`, and ``score``."""
    best = instances[instances.scores.argsort(descending=True, stable=True)[:BOXES]]
    corners = best.pred_boxes.tensor
    boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
    return [
        {"box": _rounded(box), "label": classes[label], "score": round(score, 4)}
        for box, label, score in zip(boxes, best.pred_classes.tolist(), best.scores.tolist(), strict=True)
    ]


def write_examples(folder: Path, cfg: CfgNode, model: RetinaNet, classes: Sequence[str]) -> None:
    """Leave ``0.png`` ... (RGB) and ``boxes.json``: a list of ``{"image": "0.png", "true": [...], "predicted": [...]}``
    with the boxes of :func:`true_boxes` and :func:`best_boxes`."""
    mapper, entries = DatasetMapper(cfg, False), []
    emptied(folder)
    for number, record in enumerate(DatasetCatalog.get(cfg.DATASETS.TEST[0])[:PICTURES]):
        name = f"{number}.png"
        write_png(folder / name, read_image(record["file_name"], "RGB"))
        predicted = best_boxes(predict(model, mapper(record)), classes)
        entries.append({"image": name, "true": true_boxes(record, classes), "predicted": predicted})
    (folder / "boxes.json").write_text(json.dumps(entries, indent=1) + "\n")

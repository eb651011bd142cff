"""Stage ``detect``: a row's network as the backbone of Detectron2's RetinaNet (Table 4, COCO).

Reads the retrained weights and a COCO data set; leaves the whole detector (``weights.safetensors``), the final
configuration (``config.yaml``), the curves (``history.csv``) and a few validation images with their true and their
predicted boxes (``detections.png``). Several processes share the images of a batch.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import logging
import math
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.detection_utils import read_image
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.modeling.meta_arch import RetinaNet
from detectron2.structures import Instances
from detectron2.utils import comm
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from safetensors.torch import save_file
from torch import Tensor, nn

from models.spaces.darts.cost import count_macs
from pipeline.context import Context
from pipeline.data.reading.layouts import dataset_root
from pipeline.machine.distributed import leader, size
from pipeline.machine.resume import Scratch
from pipeline.retrain.network_file import retrained
from pipeline.transfer.detect.config import Setting, configure
from pipeline.transfer.detect.data import Record, register, val_loader
from pipeline.transfer.detect.loop import LOSSES, train

SHOWN = 4
"""Images in ``detections.png``."""
SHOWN_SCORE = 0.3
"""Least score of a box in ``detections.png``."""
SHOWN_BEST = 3
"""Boxes shown of an image in which none has that score."""


def quiet() -> None:
    """Keep off the screen what Detectron2 says that no user can act on."""
    # Every exception that the trainer passes on, a user's error included, it also prints with its traceback.
    logging.getLogger("detectron2.engine.train_loop").setLevel(logging.CRITICAL)
    # Its anchors call torch.meshgrid without the argument that torch will want some day.
    warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)


def evaluate(cfg: CfgNode, model: RetinaNet) -> dict[str, float]:
    """COCO's average precisions in percent, by the official evaluation; empty on all processes but the first.

    A detector that predicts nothing has precision 0.
    """
    evaluator = COCOEvaluator(cfg.DATASETS.TEST[0], tasks=("bbox",), use_fast_impl=False)
    with contextlib.redirect_stdout(io.StringIO()):
        results = inference_on_dataset(model, val_loader(cfg), evaluator)
    if not comm.is_main_process():
        return {}
    found = {key.lower(): float(results["bbox"][key]) for key in ("AP", "AP50", "AP75")}
    if math.isnan(found["ap"]):
        logging.getLogger(__name__).warning("the detector predicts no box on %s: AP is 0", cfg.DATASETS.TEST[0])
        return dict.fromkeys(found, 0.0)
    return found


class Dense(nn.Module):
    """The part of a RetinaNet that is a function of pixels alone: backbone, pyramid and heads."""

    def __init__(self, detector: RetinaNet) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> Any:
        features = self.detector.backbone(x)
        return self.detector.head([features[name] for name in self.detector.head_in_features])


def detector_macs(model: RetinaNet, sample: Record) -> int:
    """Multiply-adds of backbone, pyramid and heads for one image as the network sees it.

    Args:
        model: the RetinaNet.
        sample: a mapped image; its size is rounded up to multiples of the backbone's 32 pixels.
    """
    unit = model.backbone.size_divisibility
    height, width = (math.ceil(side / unit) * unit for side in sample["image"].shape[-2:])
    return count_macs(Dense(model), (height, width))


def draw_boxes(axes: Axes, record: Record, boxes: list[list[float]], labels: list[str], color: str) -> None:
    """An image with labelled boxes (x, y, width, height in pixels)."""
    axes.imshow(read_image(record["file_name"], "RGB"))
    for (x, y, width, height), label in zip(boxes, labels, strict=True):
        axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=color))
        axes.text(x, y, label, color="white", fontsize=7, va="bottom", bbox={"facecolor": color, "pad": 1, "lw": 0})
    axes.set_axis_off()


def worth_showing(found: Instances) -> tuple[Instances, str]:
    """The boxes with :data:`SHOWN_SCORE`; else the :data:`SHOWN_BEST` best, and a caption that says so."""
    reaching = found[found.scores >= SHOWN_SCORE]
    if len(reaching):
        return reaching, ""
    best = found[found.scores.argsort(descending=True)[:SHOWN_BEST]]
    return best, f"no score reaches {SHOWN_SCORE}: the best {len(best)}" if len(best) else "no box"


@torch.no_grad()
def predict(model: RetinaNet, sample: Record) -> Instances:
    """All that a detector predicts for a mapped image, however low its scores (boxes in the image file's pixels)."""
    least, model.test_score_thresh = model.test_score_thresh, 0.0
    found = model.eval()([sample])[0]["instances"].to("cpu")
    model.test_score_thresh = least
    return found


def draw_detections(path: Path, cfg: CfgNode, model: RetinaNet, classes: list[str]) -> None:
    """The first validation images, above with their true boxes, below with the predicted ones."""
    records = {record["image_id"]: record for record in DatasetCatalog.get(cfg.DATASETS.TEST[0])}
    samples = [batch[0] for batch in itertools.islice(val_loader(cfg), SHOWN)]
    figure = Figure(figsize=(3 * len(samples), 6), layout="constrained")
    figure.suptitle(f"true boxes; below, predicted boxes with a score of {SHOWN_SCORE} or more", fontsize=10)
    grid = figure.subplots(2, len(samples), squeeze=False)
    for (above, below), sample in zip(grid.T, samples, strict=True):
        record = records[sample["image_id"]]
        found, caption = worth_showing(predict(model, sample))
        true = record["annotations"]
        draw_boxes(above, record, [a["bbox"] for a in true], [classes[a["category_id"]] for a in true], "tab:green")
        corners = found.pred_boxes.tensor
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
        labels = [
            f"{classes[c]} {s:.2f}" for c, s in zip(found.pred_classes.tolist(), found.scores.tolist(), strict=True)
        ]
        draw_boxes(below, record, boxes, labels, "tab:red")
        below.set_title(caption, fontsize=8, y=0, pad=-12)  # under the image, where no label is
    figure.savefig(path, dpi=80)


def write(context: Context, cfg: CfgNode, model: RetinaNet, rows: list[list[float]], classes: list[str]) -> None:
    """Leave the stage's outputs in ``context.out``; the path in ``config.yaml`` is relative to the profile."""
    context.out.mkdir(parents=True, exist_ok=True)
    portable = cfg.clone()
    portable.defrost()
    checkpoint = Path(cfg.MODEL.GENAS.CHECKPOINT)
    portable.MODEL.GENAS.CHECKPOINT = checkpoint.relative_to(context.root).as_posix()
    (context.out / "config.yaml").write_text(portable.dump())
    with (context.out / "history.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["iteration", *LOSSES, "lr"])
        writer.writerows(rows)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, str(context.out / "weights.safetensors"), metadata={"classes": json.dumps(classes)})
    draw_detections(context.out / "detections.png", cfg, model, classes)


def run(context: Context) -> dict[str, float] | None:
    """Train and evaluate the row's detector.

    Returns:
        ``ap``, ``ap50``, ``ap75`` in percent on the validation split, ``params`` of the whole detector (frozen
        BatchNorm has none) and ``macs`` of its dense part for the first validation image; None on all processes but
        the first.

    Raises:
        GenasError: what is wrong with the parameters, the network file or the data.
    """
    quiet()
    if size() > 1:
        comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))  # as the framework's own launcher does
    params = context.params.detect
    checkpoint = retrained(context)
    train_name, val_name, classes = register(params.dataset, dataset_root(context, params.dataset))
    cfg = configure(params, Setting(checkpoint, train_name, val_name, len(classes), context.device))
    settings = {"detect": params.model_dump(mode="json"), "processes": size()}
    manifest = context.output_of("data", params.dataset) / "manifest.json"
    scratch = Scratch(context, settings, [checkpoint, manifest])
    model, rows = train(cfg, scratch, params.checkpoint_period, context.log)
    metrics = evaluate(cfg, model)
    if not leader():
        return None
    write(context, cfg, model, rows, classes)
    metrics["params"] = sum(p.numel() for p in model.parameters())
    metrics["macs"] = detector_macs(model, next(iter(val_loader(cfg)))[0])
    scratch.close()
    return metrics

"""The ``shift`` stage: a retrained network on shifted test sets (Section 4.2, Table 4).

ImageNet-V2 counts top-1 over all classes; ImageNet-A counts top-1 with the logits of its own classes only, as its paper
does; ImageNet-O asks how well the confidence tells its images, which show no class at all, from validation images
(area under the precision-recall curve, the unknown images being the positives; Hendrycks et al., 2021).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import load_network, read_header
from models.errors import GenasError
from pipeline.context import Context
from pipeline.data import dataset_root
from pipeline.data.images import Pictures, list_folder, pictures
from pipeline.evaluation import evaluation_transform, logits_of, top_k
from pipeline.retrained import retrained


def labelled(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """Files and labels of a shifted set, whose folders are class names (wnids) or class numbers (ImageNet-V2).

    Raises:
        GenasError: a folder is neither.
    """
    numbers = [str(i) for i in range(len(classes))]
    found = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    return list_folder(folder, numbers if found <= set(numbers) else classes)


def masked(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits with every class that no label names set to minus infinity."""
    keep = torch.zeros(logits.shape[1], dtype=torch.bool)
    keep[labels.unique()] = True
    return logits.masked_fill(~keep, float("-inf"))


def unknown_aupr(known: Tensor, unknown: Tensor) -> float:
    """Area under the precision-recall curve (percent) of telling unknown images (the positives) by low confidence.

    Args:
        known: logits (N, classes) of images of the classes.
        unknown: logits (M, classes) of images of none.
    """
    from sklearn.metrics import average_precision_score

    confidence = torch.cat([known, unknown]).double().softmax(1).amax(1).numpy()
    truth = np.r_[np.zeros(len(known)), np.ones(len(unknown))]
    return 100 * float(average_precision_score(truth, -confidence))


def run(context: Context) -> dict[str, float]:
    """Evaluate one row; the validation set is that of retraining."""
    params, retrain = context.params.shift, context.params.retrain
    weights = retrained(context)
    network, header = load_network(weights, context.device), read_header(weights)
    network = network.to(memory_format=torch.channels_last)
    classes, transform = list(header.classes), evaluation_transform(header.preprocessing)
    root = dataset_root(context, params.dataset)

    def evaluate(data: Pictures) -> tuple[Tensor, Tensor]:
        data.transform = transform
        if not len(data):
            raise GenasError(f"data set {params.dataset}: a test set below {root} has no images")
        return logits_of(network, data, params.batch_size, retrain.workers)

    known, labels = evaluate(
        pictures(dataset_root(context, retrain.dataset), context.params.data[retrain.dataset].layout, "val", classes)
    )
    v2 = evaluate(Pictures(labelled(root / "imagenetv2-matched-frequency", classes)))
    a_logits, a_labels = evaluate(Pictures(labelled(root / "imagenet-a", classes)))
    unknown, _ = evaluate(Pictures(list_folder(root / "imagenet-o")))
    return {
        "top1": top_k(known, labels, 1),
        "v2_top1": top_k(*v2, 1),
        "a_top1": top_k(masked(a_logits, a_labels), a_labels, 1),
        "o_aupr": unknown_aupr(known, unknown),
    }

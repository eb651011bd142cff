"""The ``shift`` stage: a retrained network on shifted test sets (Section 4.2, Table 4).

* ImageNet-V2 (Recht et al., 2019): top-1 over all classes. Its folders are class numbers.
* ImageNet-A (Hendrycks et al., 2021) and ImageNet-R (2021): top-1 among the set's own 200 classes.
* ImageNet-O (Hendrycks et al., 2021): how well low confidence tells its images, which show no class, from validation
  images: the area under the precision-recall curve, the images of O being the positives and minus the largest softmax
  probability their score. O's folders are the 200 classes that its images are taken for. As in the authors' code
  (``eval_many_models.py`` of hendrycks/natural-adv-examples), the validation images are those of these classes and the
  softmax is over them alone; 2,000 images of O against 10,000 make 16.7 % the area of a guess. Where the folders name
  no classes (the stand-ins' do not), all validation images and all classes are taken.
* ImageNet-Real (Beyer et al., 2020): top-1 of the validation images under several right labels an image; those with
  none are left out.

The published sets are whole: fewer than their classes, for a network of ImageNet's 1000, is an error.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import load_network, read_header
from genas.pipeline.context import Context
from genas.pipeline.data.reading import files
from genas.pipeline.data.reading.images import Pictures, list_folder, pictures
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.data.reading.layouts import dataset_root, index_of
from genas.pipeline.retrain.evaluation import logits_of, top_k
from genas.pipeline.retrain.network_file import retrained

IMAGENET_V2, IMAGENET_A, IMAGENET_O, IMAGENET_R = (
    "imagenetv2-matched-frequency",
    "imagenet-a",
    "imagenet-o",
    "imagenet-r",
)
PUBLISHED = {IMAGENET_V2: 1000, IMAGENET_A: 200, IMAGENET_O: 200, IMAGENET_R: 200}
"""Classes of the published sets."""

WNID = re.compile(r"n\d{8}")
Listing = list[tuple[Path, int]]


def labels_by_number(classes: list[str]) -> list[int]:
    """The label of each class number: ImageNet numbers its classes by ascending wnid; other classes as they come.

    Args:
        classes: class names in label order.
    """
    if all(WNID.fullmatch(name) for name in classes):
        return sorted(range(len(classes)), key=lambda label: classes[label])
    return list(range(len(classes)))


def _subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; none where it does not exist."""
    return files.subfolders(folder) if folder.is_dir() else []


def _folder_of_label(folder: Path, classes: list[str]) -> list[str]:
    """What the folder of each label is called: as its class, or by its class number.

    Raises:
        GenasError: a class number beyond the network's classes.
    """
    subfolders = _subfolders(folder)
    if not subfolders or set(subfolders) <= set(classes) or not all(name.isdecimal() for name in subfolders):
        return classes
    last = max(map(int, subfolders))
    if last >= len(classes):
        raise GenasError(f"{folder / str(last)}: a class number, but the network has {len(classes)} classes only")
    number_of = {label: str(number) for number, label in enumerate(labels_by_number(classes))}
    return [number_of[label] for label in range(len(classes))]


def _readme_wnids(folder: Path) -> list[str]:
    """The wnids that begin lines of the set's ``README.txt``: its classes, where it is that of ImageNet-A, -O or -R."""
    readme = folder / "README.txt"
    text = readme.read_text(errors="replace") if readme.is_file() else ""
    return sorted(set(re.findall(rf"^({WNID.pattern})\b", text, re.MULTILINE)))


def labelled(folder: Path, classes: list[str], count: int = 0) -> tuple[Listing, list[int]]:
    """A shifted set: its files with their labels, and the label of every class that it has.

    Args:
        folder: its folders are class names (wnids) or class numbers (ImageNet-V2). Where its ``README.txt`` lists
            classes that the network all has, these are the set's; else the folders are.
        classes: class names of the network in label order.
        count: how many classes the set has to have; 0 where that is not known.

    Raises:
        GenasError: no such folder, a folder that is none of the network's classes, or classes without images.
    """
    folder_names = _folder_of_label(folder, classes)
    images, wnids = list_folder(folder, folder_names), _readme_wnids(folder)
    if not set(wnids) <= set(folder_names):
        wnids = []
    label_of = {name: label for label, name in enumerate(folder_names)}
    set_labels = [label_of[name] for name in wnids or _subfolders(folder)]
    with_images = {label for _, label in images}
    count = len(wnids) or count
    if count and len(with_images) != count:
        missing = [folder_names[label] for label in set_labels if label not in with_images]
        which = f", none of {', '.join(missing[:3])}" + ", ..." * (len(missing) > 3) if missing else ""
        raise GenasError(f"{folder}: images of {len(with_images)} of {count} classes{which}")
    return images, sorted(set_labels)


def unlabelled(folder: Path, classes: list[str], count: int = 0) -> tuple[Listing, list[int]]:
    """A set of images of no class: its files, and the labels of the classes that they are taken for.

    Folders that are no classes, nor look like wnids, say nothing: all classes.

    Raises:
        GenasError: as :func:`labelled`.
    """
    subfolders = _subfolders(folder)
    if set(subfolders) <= set(classes) or any(WNID.fullmatch(name) for name in subfolders):
        return labelled(folder, classes, count)
    return list_folder(folder), list(range(len(classes)))


def masked(logits: Tensor, keep: list[int]) -> Tensor:
    """Logits (N, classes) with every class but those of ``keep`` set to minus infinity."""
    kept = torch.full_like(logits, float("-inf"))
    kept[:, keep] = logits[:, keep]
    return kept


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


def real_top1(logits: Tensor, names: list[str], path: Path) -> float:
    """Top-1 (percent) under ImageNet-Real's labels.

    Args:
        logits: (N, classes), classes by their ImageNet numbers.
        names: the images' names, ``ILSVRC2012_val_00000001`` for example.
        path: the published ``real.json``: a list of labels for each validation image, in the order of their names.

    Raises:
        GenasError: another file, a label that is no class number, or the labels of other images.
    """
    from timm.data import RealLabelsImagenet

    expected_form = "a list of the labels of each validation image"
    labels = files.json_of(path, expected_form)
    if not (isinstance(labels, list) and all(isinstance(image, list) for image in labels) and any(labels)):
        raise GenasError(f"{path}: not {expected_form}")
    for place, image in enumerate(labels):
        for label in image:
            if type(label) is not int or not 0 <= label < logits.shape[1]:
                last = logits.shape[1] - 1
                raise GenasError(f"{path}: image {place + 1} has label {files.line(label, 40)}, expected 0 to {last}")
    expected = [f"ILSVRC2012_val_{i + 1:08d}" for i in range(len(labels))]
    if sorted(names) != expected:
        raise GenasError(
            f"{path}: labels of {len(labels)} images {expected[0]} to {expected[-1]}, "
            f"but the validation set has {len(names)}, {min(names)} to {max(names)}"
        )
    judge = RealLabelsImagenet([f"{name}.JPEG" for name in names], path, topk=(1,))
    judge.add_result(logits)
    return float(judge.get_accuracy(1))


def run(context: Context) -> dict[str, float]:
    """Evaluate one row; the validation set is that of retraining.

    Returns:
        In percent: ``top1`` and ``top5`` on the validation images; ``v2_top1``, ``a_top1`` and ``o_aupr``; ``r_top1``
        and ``real_top1`` where ImageNet-R and ImageNet-Real are there.

    Raises:
        GenasError: a network file that is not the row's, a set that is missing, not whole or unreadable.
    """
    params, retrain = context.params.shift, context.params.retrain
    weights = retrained(context)
    network, header = load_network(weights, context.device), read_header(weights)
    network = network.to(memory_format=torch.channels_last)
    classes, transform = list(header.classes), evaluation_transform(header.preprocessing)
    root, validation = dataset_root(context, params.dataset), params.trained_on
    published = len(classes) == 1000 and context.params.data[params.dataset].derive is None
    # All sets are listed before one is evaluated: what is missing is said at once.
    sets = {
        name: (unlabelled if name == IMAGENET_O else labelled)(root / name, classes, count if published else 0)
        for name, count in PUBLISHED.items()
        if name != IMAGENET_R or (root / name).is_dir()
    }
    val_root, layout = dataset_root(context, validation), context.params.data[validation].layout
    val = pictures(val_root, layout, "val", classes, index_of(context, validation))

    def evaluated(data: Pictures) -> tuple[Tensor, Tensor]:
        data.transform = transform
        if not len(data):
            raise GenasError(f"data set {params.dataset}: a test set below {root} has no images")
        return logits_of(network, data, params.batch_size, retrain.workers)

    def top1_within_set(name: str) -> float:
        images, set_labels = sets[name]
        logits, labels = evaluated(Pictures(images))
        return top_k(masked(logits, set_labels), labels, 1)

    known, labels = evaluated(val)
    o_files, o_labels = sets[IMAGENET_O]
    of_o_classes = torch.isin(labels, torch.tensor(o_labels))
    if o_files and not of_o_classes.any():
        raise GenasError(f"data set {validation}: no validation image of the classes of {root / IMAGENET_O}")
    unknown, _ = evaluated(Pictures(o_files))
    metrics = {
        "top1": top_k(known, labels, 1),
        "top5": top_k(known, labels, 5),
        "v2_top1": top_k(*evaluated(Pictures(sets[IMAGENET_V2][0])), 1),
        "a_top1": top1_within_set(IMAGENET_A),
        "o_aupr": unknown_aupr(masked(known[of_o_classes], o_labels), masked(unknown, o_labels)),
    }
    if IMAGENET_R in sets:
        metrics["r_top1"] = top1_within_set(IMAGENET_R)
    if (root / "real.json").exists():
        names = [val.name(i) for i in range(len(val))]
        metrics["real_top1"] = real_top1(known[:, labels_by_number(classes)], names, root / "real.json")
    return metrics

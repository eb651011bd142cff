"""The split that supernet training and search share: training images in two halves, normalised and resident.

The paper trains the supernet on one half of CIFAR's training images and searches on the other; test images are never
seen by either.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.errors import GenasError
from pipeline.config import TrainingParams
from pipeline.context import Context
from pipeline.data.reading.images import Pictures, channel_statistics, load_images, to_tensor
from pipeline.data.reading.layouts import dataset_root, index_of
from pipeline.data.reading.manifest import read_manifest


class SearchData(NamedTuple):
    """Images (N, 3, H, W) float32, normalised, and labels (N,), of both halves."""

    train_images: Tensor
    train_labels: Tensor
    held_images: Tensor
    held_labels: Tensor
    num_classes: int


def memory_format(params: TrainingParams) -> torch.memory_format:
    """How images and weights lie in memory; changes speed, not meaning."""
    return torch.channels_last if params.channels_last else torch.contiguous_format


def load_search_data(context: Context, training: TrainingParams) -> SearchData:
    """The two halves for the row's data set and seed, on the row's device, shared as the supernet's ``training`` says.

    Raises:
        GenasError: the data set is missing or unreadable, or one of the halves would be empty.
    """
    name, seed = context.axes["dataset"], int(context.axes["seed"])
    root, kind = dataset_root(context, name), context.params.data[name].layout
    source = load_images(root, kind, "train", index=index_of(context, name))
    mean, std = channel_statistics(Pictures(source))
    order = np.random.default_rng([seed, 0]).permutation(len(source.labels))
    cut = int(len(order) * training.train_share)
    if not 0 < cut < len(order):
        raise GenasError(
            f"train_share: {training.train_share} of {len(order)} images is {cut} to train on and {len(order) - cut} "
            "to search with, expected some of each"
        )
    halves: list[Tensor] = []
    layout = memory_format(training)
    for index in (order[:cut], order[cut:]):
        images = to_tensor(source.pixels[index], mean, std).contiguous(memory_format=layout)
        halves += [images, torch.from_numpy(source.labels[index])]
    classes = read_manifest(context, name)["classes"]
    num_classes = len(classes) or int(source.labels.max()) + 1
    train_images, train_labels, held_images, held_labels = (half.to(context.device) for half in halves)
    return SearchData(train_images, train_labels, held_images, held_labels, num_classes)

"""The images that a probe looks at: training images that recalibrate BatchNorm, and held-out ones."""

from __future__ import annotations

import torch

from genas.pipeline.config import MeasureParams, TrainingParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import Augmentation, SearchData, load_search_data


def load_probe_data(
    context: Context, training: TrainingParams, params: MeasureParams, all_held: bool = False
) -> SearchData:
    """Of the row's data set, the images that recalibrate, and those of the held-out ones that are looked at, or all.

    With ``recalibrate_augmented`` the former are cropped and flipped as the supernet's ``training`` does it, the same
    way for every architecture: drawn once, by the seed of the row's noise.

    Raises:
        GenasError: as :func:`~genas.pipeline.data.reading.halves.load_search_data`.
    """
    held, seed = None if all_held else params.images, context.seed("noise")
    if params.recalibrate_augmented and training.streamed is not None:
        data = load_search_data(context, training, 0, held)
        assert data.stream is not None, "images are streamed"
        images, labels = data.stream.augmented(params.recalibrate_images, seed, training.epochs)
        return data._replace(train_images=images, train_labels=labels)
    data = load_search_data(context, training, params.recalibrate_images, held)
    return augmented(data, training, seed) if params.recalibrate_augmented else data


def augmented(data: SearchData, training: TrainingParams, seed: int) -> SearchData:
    """The same with its training images cropped and flipped, a function of the seed."""
    generator = torch.Generator().manual_seed(seed)
    return data._replace(train_images=Augmentation.draw(data.train_images, training, generator)(data.train_images))

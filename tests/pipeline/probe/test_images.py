"""The images that recalibrate: as they are, or as the supernet's training crops and flips them."""

from __future__ import annotations

import torch

from genas.pipeline.config import load_params
from genas.pipeline.data.reading.halves import Augmentation
from genas.pipeline.probe.images import augmented, load_probe_data
from tests.conftest import Tiny
from tests.pipeline.measures.test_measures import search_data


def test_what_recalibrates_is_augmented_and_nothing_else(tiny: Tiny) -> None:
    tiny.change("measures", images=20)
    params = load_params(tiny.root)
    context, training = tiny.context("search", dataset="small", metric="angle", seed="0"), params.supernet["small"]
    plain = load_probe_data(context, training, params.measures)
    switched = params.measures.model_copy(update={"recalibrate_augmented": True})
    found, again = (load_probe_data(context, training, switched) for _ in range(2))
    assert found.train_images.equal(again.train_images), "drawn once, by the seed"
    assert not found.train_images.equal(plain.train_images)
    assert found.train_labels.equal(plain.train_labels)
    assert found.held_images.equal(plain.held_images)
    assert len(plain.held_images) == 20
    assert len(load_probe_data(context, training, switched, all_held=True).held_images) == 30


def test_the_augmentation_is_that_of_training(tiny: Tiny) -> None:
    data, training = search_data(), load_params(tiny.root).supernet["small"]
    drawn = Augmentation.draw(data.train_images, training, torch.Generator().manual_seed(3))
    assert augmented(data, training, 3).train_images.equal(drawn(data.train_images))
    still = training.model_copy(update={"crop_padding": 0.0, "flip": False})
    assert augmented(data, still, 3).train_images.equal(data.train_images)

"""Images of a supernet that stay in their files: which of them are read, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genas.models.errors import GenasError
from genas.models.spaces.base.preprocessing import Preprocessing
from genas.pipeline.config import SupernetParams
from genas.pipeline.data.reading.halves import SearchData, load_search_data
from genas.pipeline.data.reading.images import Pictures, channel_statistics, list_folder
from genas.pipeline.data.reading.inputs.preprocessing import evaluation_transform
from genas.pipeline.data.reading.inputs.streams import Stream
from genas.pipeline.probe.images import load_probe_data
from tests.conftest import Tiny

ROW = {"dataset": "photos", "seed": "0"}


def settings(profile: Tiny, **changed: Any) -> SupernetParams:
    return profile.context("supernet", **ROW).params.supernet["photos"].model_copy(update=changed)


def loaded(profile: Tiny, train: int = 8, held: int | None = 6) -> SearchData:
    return load_search_data(profile.context("supernet", **ROW), settings(profile), train, held)


def stream_of(data: SearchData) -> Stream:
    assert data.stream is not None
    return data.stream


def files(profile: Tiny) -> list[tuple[Path, int]]:
    return list_folder(profile.root.parent / "data/photos/train")


def test_what_a_probe_looks_at_is_what_evaluation_sees(streaming: Tiny) -> None:
    """The first images of both halves, resized and cropped in the middle, without mean and deviation."""
    data, listed = loaded(streaming), files(streaming)
    assert data.train_images.shape == (8, 3, 64, 64)
    assert data.held_images.shape == (6, 3, 64, 64)
    assert data.train_images.is_contiguous(memory_format=torch.channels_last)
    assert (len(stream_of(data).source), data.num_classes) == (27, 3)
    transform = evaluation_transform(Preprocessing(64, (0.0,) * 3, (1.0,) * 3, crop_pct=0.875, resize="opencv"))
    order = np.random.default_rng([0, 0]).permutation(36)
    for images, labels, rows in (
        (data.train_images, data.train_labels, order[:8]),
        (data.held_images, data.held_labels, order[27:33]),
    ):
        for image, label, row in zip(images, labels, rows, strict=True):
            with Image.open(listed[row][0]) as picture:
                assert torch.equal(image, transform(picture))
            assert label == listed[row][1]


def test_no_other_image_is_read(streaming: Tiny) -> None:
    """All others are broken; an epoch then meets the first of them."""
    whole, listed = loaded(streaming), files(streaming)
    order = np.random.default_rng([0, 0]).permutation(36)
    for row in {*range(36)} - {*order[:8], *order[27:33]}:
        listed[row][0].write_bytes(b"no picture")
    data = loaded(streaming)
    assert torch.equal(data.train_images, whole.train_images)
    assert torch.equal(data.held_images, whole.held_images)
    with pytest.raises(GenasError, match=r"photos/train/.*\.jpg: not a readable image"):
        list(stream_of(data).batches([list(range(27))], 0, 0))


def drawn(data: SearchData, steps: list[list[int]], seed: int = 0, epoch: int = 0) -> list[tuple[Tensor, Tensor]]:
    return list(stream_of(data).batches(steps, seed, epoch))


def test_an_image_is_augmented_by_seed_epoch_and_its_own_number(streaming: Tiny) -> None:
    data = loaded(streaming)
    (first, labels), (last, _) = drawn(data, [[3, 5, 7], [5]])
    assert first.shape == (3, 3, 64, 64)
    assert labels.tolist() == stream_of(data).source.labels[[3, 5, 7]].tolist()
    assert torch.equal(first[1], last[0]), "whichever step it is in"
    for seed, epoch in ((1, 0), (0, 1)):
        assert not torch.equal(drawn(data, [[5]], seed, epoch)[0][0], last)
    assert torch.equal(stream_of(data).augmented(6, 0, 0)[0][[3, 5]], first[:2])


def test_workers_give_the_same_bytes(streaming: Tiny) -> None:
    here = loaded(streaming)
    streaming.change("supernet", photos__streamed__workers=2)
    there = loaded(streaming)
    assert torch.equal(here.held_images, there.held_images)
    steps = [[0, 4, 8], [1, 5]]
    for one, other in zip(drawn(here, steps), drawn(there, steps), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_by_the_dataset_s_mean_and_deviation(streaming: Tiny) -> None:
    plain = loaded(streaming)
    streaming.change("supernet", photos__streamed__normalise="dataset")
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in channel_statistics(Pictures(files(streaming))))
    torch.testing.assert_close(loaded(streaming).held_images, (plain.held_images - mean) / std)


def test_what_recalibrates_may_be_augmented_as_in_training(streaming: Tiny) -> None:
    context = streaming.context("search", dataset="photos", metric="flatness", seed="0")
    params = context.params.measures
    plain = load_probe_data(context, settings(streaming), params)
    switched = params.model_copy(update={"recalibrate_augmented": True})
    found, again = (load_probe_data(context, settings(streaming), switched) for _ in range(2))
    assert torch.equal(found.train_images, again.train_images)
    assert found.train_images.shape == plain.train_images.shape
    assert not torch.equal(found.train_images, plain.train_images)
    assert torch.equal(found.train_labels, plain.train_labels)
    assert torch.equal(found.held_images, plain.held_images)
    assert len(load_probe_data(context, settings(streaming), params, all_held=True).held_images) == 9

"""Splits: which images train and which are held out, drawn, in order, or as a file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genas.models.errors import GenasError
from genas.pipeline.config import SupernetParams, data_root
from genas.pipeline.data import stage as data
from genas.pipeline.data.reading.halves import load_search_data
from genas.pipeline.data.reading.layouts import validation_images
from genas.pipeline.data.reading.splits import Split, read_split, split_of
from tests.conftest import Tiny, tiny_params

COUNTS = (6, 4)
"""Images to train on and to validate on."""


def written(path: Path, **lists: Any) -> Path:
    path.write_text(json.dumps({name: ["int", [str(number) for number in numbers]] for name, numbers in lists.items()}))
    return path


def training(**changed: Any) -> SupernetParams:
    return SupernetParams.model_validate({**tiny_params()["supernet"]["small"], **changed})


def test_a_file_may_share_the_training_images(tmp_path: Path) -> None:
    split = read_split(written(tmp_path / "split.txt", train=[0, 2, 5], valid=[1, 4]), *COUNTS)
    assert (split.train.tolist(), split.held.tolist(), split.source) == ([0, 2, 5], [1, 4], "train")


def test_a_file_may_hold_out_validation_images_and_then_all_others_train(tmp_path: Path) -> None:
    split = read_split(written(tmp_path / "split.txt", xvalid=[3, 0], xtest=[1, 2]), *COUNTS)
    assert (split.train.tolist(), split.held.tolist(), split.source) == ([0, 1, 2, 3, 4, 5], [3, 0], "val")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"not a split of images \(no JSON"),
        ("[]", "no split of images, expected train and valid or xvalid and xtest"),
        ('{"train": ["int", ["1"]]}', "no split of images"),
        ('{"train": ["int", ["1"]], "valid": [2, 3]}', "valid is no list of numbers, expected"),
        ('{"train": ["int", ["1"]], "valid": ["int", []]}', "valid is no list of numbers"),
        ('{"train": ["int", ["1"]], "valid": ["int", ["-2"]]}', "valid is no list of numbers"),
        ('{"train": ["int", ["1"]], "valid": ["int", [true]]}', "valid is no list of numbers"),
        ('{"train": ["int", ["1"]], "valid": ["int", ["6"]]}', "valid has number 6, but there are 6 images"),
        ('{"xvalid": ["int", ["4"]], "xtest": ["int", ["0"]]}', "xvalid has number 4, but there are 4 images"),
        ('{"train": ["int", ["1", "3"]], "valid": ["int", ["3"]]}', "image 3 is there twice"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "split.txt").write_text(content)
    with pytest.raises(GenasError, match=rf"^\S+split\.txt: {message}"):
        read_split(tmp_path / "split.txt", *COUNTS)


def test_the_first_train_or_those_that_the_seed_draws() -> None:
    first = split_of(training(split="first", train_share=0.5), None, *COUNTS, seed=0)
    assert (first.train.tolist(), first.held.tolist()) == ([0, 1, 2], [3, 4, 5])
    drawn: list[Split] = [split_of(training(), None, *COUNTS, seed) for seed in (0, 0, 1)]
    assert sorted([*drawn[0].train, *drawn[0].held]) == list(range(6))
    assert drawn[0].train.tolist() == drawn[1].train.tolist() != drawn[2].train.tolist()


def with_file(tiny: Tiny, **lists: list[int]) -> Tiny:
    """The tiny profile, its data set split by a file."""
    written(tiny.root / "split.txt", **lists)
    tiny.change("data", small__split="split.txt")
    tiny.change("supernet", small__split="file", small__train_share=None)
    tiny.change("matrix", replica={"dataset": [], "split": [], "seed": []})  # a split that no seed changes
    return tiny


@pytest.fixture
def root(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A tiny profile that is its own data root."""
    (tiny.root / "small").symlink_to(data_root() / "small")
    monkeypatch.setenv("GENAS_DATA", str(tiny.root))
    return tiny


def test_a_supernet_sees_the_images_that_the_file_says(root: Tiny) -> None:
    with_file(root, xvalid=[2, 7], xtest=[0])
    data.run(root.context("data", dataset="small"))
    context = root.context("supernet", dataset="small", seed="0")
    settings = context.params.supernet["small"]
    whole = load_search_data(context, settings)
    assert (len(whole.train_labels), len(whole.held_labels)) == (60, 2)
    part = load_search_data(context, settings, train=5, held=1)
    assert torch.equal(part.train_images, whole.train_images[:5])  # normalised alike, though fewer are decoded
    assert torch.equal(part.held_images, whole.held_images[:1])


def test_the_data_stage_looks_at_the_file_and_records_its_digest(root: Tiny) -> None:
    with_file(root, train=[*range(30)], valid=[*range(30, 60)])
    manifests = []
    for valid in ([*range(30, 60)], [*range(31, 60)]):
        written(root.root / "split.txt", train=[*range(30)], valid=valid)
        data.run(root.context("data", dataset="small"))
        manifests.append(json.loads(root.bytes_of("data", "small", "manifest.json")))
    assert manifests[0]["split_file"] != manifests[1]["split_file"]
    written(root.root / "split.txt", train=[0], valid=[60])
    with pytest.raises(GenasError, match="valid has number 60, but there are 60 images"):
        data.run(root.context("data", dataset="small"))


def test_the_benchmark_s_own_splits() -> None:
    """NAS-Bench-201, Section 2.2: 25,000 and 25,000 of CIFAR-10; half of the test images of the other two."""
    folder = data_root() / "nasbench201" / "splits"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: the splits of NAS-Bench-201 lie below the data root (GENAS_DATA)")
    split = read_split(folder / "cifar-split.txt", 50_000, 10_000)
    assert (len(split.train), len(split.held), split.source) == (25_000, 25_000, "train")
    for name, train, val in (("cifar100", 50_000, 10_000), ("imagenet-16-120", 151_700, 6_000)):
        split = read_split(folder / f"{name}-test-split.txt", train, val)
        assert (len(split.train), len(split.held), split.source) == (train, val // 2, "val")
        assert len(np.unique(split.held)) == val // 2


@pytest.mark.parametrize(
    ("layout", "counts", "expected"),
    [
        ("parquet", {"train": 9, "val": 2, "test": 3}, 3),
        ("parquet", {"train": 9, "val": 2}, 2),
        ("cifar10", {"train": 9, "test": 3}, 3),
        ("folder", {"train": 9, "val": 2, "test": 3}, 2),
        ("coco", {"train": 9}, 0),
    ],
)
def test_validation_images_are_those_that_are_read(layout: str, counts: dict[str, int], expected: int) -> None:
    assert validation_images(layout, counts) == expected

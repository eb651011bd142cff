"""Evaluation under distribution shift: Table 4's three numbers by hand, and one row from end to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from models.checkpoint import Preprocessing, load_network, save_network
from models.errors import GenasError
from models.network import GenasNetwork
from models.zoo import zoo_genotype
from pipeline import data, shift
from pipeline.evaluation import logits_of, top_k
from pipeline.shift import labelled, masked, unknown_aupr
from tests.conftest import Tiny

CLASSES = ["zero", "one", "two"]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "teal").save(path)


def test_only_named_classes_compete() -> None:
    logits = torch.tensor([[5.0, 1.0, 2.0, 0.0], [0.0, 9.0, 3.0, 4.0]])
    out = masked(logits, torch.tensor([2, 3]))
    assert out.tolist() == [[-torch.inf, -torch.inf, 2.0, 0.0], [-torch.inf, -torch.inf, 3.0, 4.0]]
    assert top_k(logits, torch.tensor([2, 3]), 1) == 0
    assert top_k(out, torch.tensor([2, 3]), 1) == 100


def confident(*shares: float) -> torch.Tensor:
    """Logits of two classes whose larger probability is each of ``shares``."""
    return torch.tensor([[p, 1 - p] for p in shares]).log()


def test_the_area_under_precision_and_recall_by_hand() -> None:
    assert unknown_aupr(confident(0.9, 0.8), confident(0.6, 0.7)) == pytest.approx(100)
    # ranked by low confidence: unknown (1/1), known, unknown (2/3), known; half a step of recall each
    assert unknown_aupr(confident(0.7, 0.9), confident(0.6, 0.8)) == pytest.approx(100 * (1 / 2 + 1 / 2 * 2 / 3))
    # the unknown are the most confident: 1/3 and 2/4
    assert unknown_aupr(confident(0.6, 0.7), confident(0.8, 0.9)) == pytest.approx(
        100 * (1 / 2 * 1 / 3 + 1 / 2 * 2 / 4)
    )


def test_the_unknown_among_equals_are_their_share() -> None:
    assert unknown_aupr(torch.zeros(6, 5), torch.zeros(2, 5)) == pytest.approx(25)


def test_folders_are_class_names(tmp_path: Path) -> None:
    for name in ("two", "zero"):
        picture(tmp_path / name / "a.png")
    assert [(path.parent.name, label) for path, label in labelled(tmp_path, CLASSES)] == [("two", 2), ("zero", 0)]


def test_folders_are_class_numbers(tmp_path: Path) -> None:
    for name in ("2", "10", "0"):
        picture(tmp_path / name / "a.jpg")
    classes = [f"n{i:08d}" for i in range(11)]
    assert [(path.parent.name, label) for path, label in labelled(tmp_path, classes)] == [
        ("0", 0),
        ("10", 10),
        ("2", 2),
    ]


@pytest.mark.parametrize("name", ["three", "3", "-1"])
def test_a_folder_that_is_no_class_is_named(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "zero" / "a.png")
    picture(tmp_path / name / "a.png")
    with pytest.raises(GenasError, match=r"folder is none of the 3 classes \(zero, one, two, ...\)") as caught:
        labelled(tmp_path, CLASSES)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(GenasError, match="imagenet-a: no such folder"):
        labelled(tmp_path / "imagenet-a", CLASSES)


@pytest.fixture
def evaluated(tiny: Tiny) -> Tiny:
    """A tiny profile with shifted sets and a network to evaluate."""
    data.run(tiny.context("data", dataset="small_shift"))
    torch.manual_seed(0)
    network = GenasNetwork(zoo_genotype("darts_v2_c10"), 2, 3, num_classes=3, stem="cifar")
    network(torch.randn(8, 3, 16, 16))
    out = tiny.context("retrain", row="published").out
    save_network(out / "weights.safetensors", network, Preprocessing(16, (0.3,) * 3, (0.4,) * 3), CLASSES)
    return tiny


def test_a_row_from_end_to_end(evaluated: Tiny) -> None:
    context = evaluated.context("shift", row="published")
    metrics = shift.run(context)
    assert list(metrics) == ["top1", "v2_top1", "a_top1", "o_aupr"]
    assert all(0 <= value <= 100 for value in metrics.values())
    assert json.loads(json.dumps(metrics)) == metrics
    assert shift.run(context) == metrics

    network = load_network(evaluated.root / "out/retrain/published/weights.safetensors")
    root = data.dataset_root(context, "small_shift") / "imagenet-a"
    pictures = shift.Pictures(
        labelled(root, CLASSES), shift.evaluation_transform(Preprocessing(16, (0.3,) * 3, (0.4,) * 3))
    )
    assert len(pictures) == 30
    assert top_k(*logits_of(network, pictures, 8), 1) == metrics["a_top1"]  # all three classes are in the set


def test_a_truncated_image_is_named(evaluated: Tiny) -> None:
    context = evaluated.context("shift", row="published")
    root = data.dataset_root(context, "small_shift") / "imagenet-o"
    path = sorted(root.rglob("*.png"))[3]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(GenasError, match="not a readable image") as caught:
        shift.run(context)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_an_empty_set_is_said_so(evaluated: Tiny) -> None:
    context = evaluated.context("shift", row="published")
    root = data.dataset_root(context, "small_shift")
    shutil.rmtree(root / "imagenet-o" / "unknown")
    (root / "imagenet-o" / "unknown").mkdir()
    with pytest.raises(GenasError, match=r"data set small_shift: a test set below .* has no images"):
        shift.run(context)


def test_missing_weights_are_named(tiny: Tiny) -> None:
    with pytest.raises(GenasError, match=r"out/retrain/found/weights\.safetensors: no such weights file"):
        shift.run(tiny.context("shift", row="found"))

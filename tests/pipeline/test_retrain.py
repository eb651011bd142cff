"""Retraining: reproducible, resumable, with the schedules of the paper; and the evaluation that it shares."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from models.checkpoint import Preprocessing, load_network, read_header
from models.cost import network_cost
from models.errors import GenasError
from models.zoo import zoo_genotype
from pipeline import retrain, zoo
from pipeline.config import RetrainParams
from pipeline.data.images import Images, Pictures
from pipeline.evaluation import evaluation_transform, logits_of, top_k
from pipeline.retrain import Seeded, batches, learning_rate, loss_of
from tests.conftest import Killed, Tiny, kill_at, make_tiny, tiny_params

FILES = ("weights.safetensors", "history.csv")


def settings(**changed: Any) -> RetrainParams:
    return RetrainParams.model_validate({**tiny_params()["retrain"], **changed})


@pytest.fixture
def published(tiny: Tiny) -> Tiny:
    """A tiny profile in which the row ``published`` can be retrained."""
    zoo.run(tiny.context("zoo", row="darts_v2_c10"))
    return tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> dict[str, Any]:
    """A run that nothing interrupted: its profile, metrics, what it logged, and the content of its files."""
    logged: list[dict[str, float]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(small_data))
        profile = make_tiny(tmp_path_factory.mktemp("whole"))
        zoo.run(profile.context("zoo", row="darts_v2_c10"))
        context = profile.context("retrain", lambda _, values: logged.append(dict(values)), row="published")
        metrics = retrain.run(context)
        val = retrain.prepare(context)[1]
    files = {name: profile.bytes_of("retrain", "published", name) for name in FILES}
    return {"context": context, "metrics": metrics, "logged": logged, "files": files, "val": val}


def test_a_run_leaves_weights_with_their_preprocessing(whole: dict[str, Any]) -> None:
    context, metrics = whole["context"], whole["metrics"]
    header = read_header(context.out / "weights.safetensors")
    assert header.classes == ("zero", "one", "two")
    assert header.genotype == zoo_genotype("darts_v2_c10")
    assert header.preprocessing.size == 16
    assert 0 < header.preprocessing.mean[0] < 1
    assert header.architecture["auxiliary"]
    network = load_network(context.out / "weights.safetensors")
    assert top_k(*logits_of(network, whole["val"], 7), 1) == metrics["top1"]


def test_metrics_are_those_of_the_history(whole: dict[str, Any]) -> None:
    context, metrics = whole["context"], whole["metrics"]
    history = pd.read_csv(context.out / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert (metrics["top1"], metrics["top5"]) == (history["top1"].iloc[-1], 100)
    assert metrics["best_top1"] == history["top1"].max()
    assert [values["train_loss"] for values in whole["logged"]] == pytest.approx(history["train_loss"].tolist())
    cost = network_cost(zoo_genotype("darts_v2_c10"), 16, width=2, layers=3, stem="cifar", num_classes=3)
    assert (metrics["params"], metrics["macs"]) == tuple(cost)
    assert json.loads(json.dumps(metrics)) == metrics
    assert (context.out / "curves.png").stat().st_size > 1000
    assert not list((context.root / ".scratch").iterdir())


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_a_whole_one(
    published: Tiny, whole: dict[str, Any], epoch: int
) -> None:
    with pytest.raises(Killed):
        retrain.run(published.context("retrain", kill_at(epoch), row="published"))
    assert not (published.root / "out/retrain/published/weights.safetensors").exists()
    resumed: list[int] = []
    retrain.run(published.context("retrain", lambda step, _: resumed.append(step), row="published"))
    assert resumed == list(range(epoch, 4))
    for name in FILES:
        assert published.bytes_of("retrain", "published", name) == whole["files"][name]


def test_loader_workers_change_nothing(published: Tiny, whole: dict[str, Any]) -> None:
    published.change("retrain", workers=2)
    retrain.run(published.context("retrain", row="published"))
    for name in FILES:
        assert published.bytes_of("retrain", "published", name) == whole["files"][name]


def test_with_autocast_dropped_paths_and_plain_pixels(published: Tiny) -> None:
    published.change("retrain", amp=True, drop_path=0.3, normalise="none", epochs=1, auxiliary_weight=0.0)
    context = published.context("retrain", row="published")
    metrics = retrain.run(context)
    header = read_header(context.out / "weights.safetensors")
    assert header.preprocessing.mean == (0, 0, 0)
    assert header.preprocessing.std == (1, 1, 1)
    assert not header.architecture["auxiliary"]
    assert all(math.isfinite(value) for value in metrics.values())
    state = load_network(context.out / "weights.safetensors").state_dict()
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


def test_a_row_whose_cell_was_not_searched_yet_names_the_file(tiny: Tiny) -> None:
    with pytest.raises(GenasError, match=r"out/search/small-flatness-0/genotype\.json: no such genotype file"):
        retrain.run(tiny.context("retrain", row="found"))


def test_the_cosine_schedule_by_hand() -> None:
    params = settings(epochs=6, warmup_epochs=2, learning_rate=0.4, schedule="cosine")
    half = math.sqrt(0.5)
    expected = [0.2, 0.4, 0.4, 0.2 * (1 + half), 0.2, 0.2 * (1 - half)]
    assert [learning_rate(epoch, params) for epoch in range(6)] == pytest.approx(expected)
    assert learning_rate(0, settings(warmup_epochs=0, learning_rate=0.3)) == pytest.approx(0.3)


def test_the_linear_schedule_by_hand() -> None:
    """lr (T - 5 - t) / (T - 5), and lr (T - t) / (5 (T - 5)) in the last five epochs; T = 10, lr = 1."""
    params = settings(epochs=10, warmup_epochs=2, learning_rate=1.0, schedule="linear")
    expected = [0.5, 1.0, 3 / 5, 2 / 5, 1 / 5, 5 / 25, 4 / 25, 3 / 25, 2 / 25, 1 / 25]
    assert [learning_rate(epoch, params) for epoch in range(10)] == pytest.approx(expected)


def test_the_papers_schedule_never_rises_after_its_warm_up() -> None:
    params = settings(epochs=250, warmup_epochs=5, learning_rate=0.5, schedule="linear")
    rates = [learning_rate(epoch, params) for epoch in range(250)]
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert rates[5] == pytest.approx(0.5 * 240 / 245)
    assert all(a >= b > 0 for a, b in itertools.pairwise(rates[5:]))


def test_the_loss_by_hand() -> None:
    logits, auxiliary = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, 0.0]])
    labels = torch.tensor([0])
    logp = F.log_softmax(logits, 1)[0]
    smooth = -(0.9 * logp[0] + 0.1 * logp.mean())
    params = settings(label_smoothing=0.1, auxiliary_weight=0.4)
    assert float(loss_of(logits, labels, params)) == pytest.approx(float(smooth))
    assert float(loss_of((logits, auxiliary), labels, params)) == pytest.approx(float(smooth) + 0.4 * math.log(3))


def noisy(image: Any) -> torch.Tensor:
    """A transform that draws from every generator that augmentations use."""
    return torch.tensor([random.random(), float(np.random.rand()), float(torch.rand(()))])


def ten_pictures(count: int = 10) -> Pictures:
    return Pictures(Images(np.zeros((count, 2, 2, 3), np.uint8), np.arange(count)), noisy)


def test_augmentation_is_a_function_of_seed_epoch_and_image() -> None:
    data = Seeded(ten_pictures(), seed=0, epoch=1)
    again = Seeded(ten_pictures(), seed=0, epoch=1)
    assert len(data) == 10
    assert torch.equal(data[3][0], (again[7], again[3])[1][0])
    for other in (Seeded(ten_pictures(), 1, 1), Seeded(ten_pictures(), 0, 2)):
        assert not torch.equal(other[3][0], data[3][0])
    assert not torch.equal(data[4][0], data[3][0])


def test_an_epoch_visits_every_image_once_in_an_order_of_its_own() -> None:
    params = settings(batch_size=4)
    orders = [[int(i) for _, labels in batches(ten_pictures(), params, epoch) for i in labels] for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(10))
    assert orders[0] == orders[1] != orders[2]


def test_a_last_batch_of_one_image_is_left_out() -> None:
    sizes = [len(labels) for _, labels in batches(ten_pictures(9), settings(batch_size=4), 0)]
    assert sizes == [4, 4]


# ---- evaluation -----------------------------------------------------------------------------------------------------


def test_top_k_by_hand() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [1.0, 3.0, 2.0]])
    labels = torch.tensor([0, 1, 0, 0])
    assert [top_k(logits, labels, k) for k in (1, 2, 3, 5)] == [25, 75, 100, 100]


def test_evaluation_resizes_crops_and_normalises() -> None:
    transform = evaluation_transform(Preprocessing(20, (0.5,) * 3, (0.25,) * 3, crop_pct=0.5))
    pixels = np.zeros((80, 40, 3), np.uint8)
    pixels[20:60] = 255  # the middle that a resize to 40 x 80 and a centre crop of 20 keep
    image = Pictures(Images(pixels[None], np.array([0])), transform)[0][0]
    assert image.shape == (3, 20, 20)
    torch.testing.assert_close(image, torch.full((3, 20, 20), 2.0))


def test_logits_keep_the_order_of_the_data_whatever_the_batch(published: Tiny, whole: dict[str, Any]) -> None:
    context = published.context("retrain", row="published")
    network = retrain.build_network(context, 3)
    val = whole["val"]
    one, labels = logits_of(network, val, 4)
    other, _ = logits_of(network, val, 30)
    torch.testing.assert_close(one, other)
    assert labels.tolist() == [val.label(i) for i in range(len(val))]
    assert not network.training


def test_a_truncated_image_is_named(published: Tiny, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "broken.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    network = retrain.build_network(published.context("retrain", row="published"), 3)
    data = Pictures([(path, 0)], evaluation_transform(Preprocessing(16, (0.5,) * 3, (0.5,) * 3)))
    for workers in (0, 1):
        with pytest.raises(GenasError, match="not a readable image") as caught:
            logits_of(network, data, 1, workers)
        assert str(path) in str(caught.value)

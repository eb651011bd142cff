"""Retraining: reproducible, resumable, with the schedules of the paper; and the evaluation that it shares."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import FrozenBatchNorm2d
from PIL import Image

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import Preprocessing, load_network, read_header
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.cost import network_cost
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline import zoo
from genas.pipeline.config import RecipeParams
from genas.pipeline.data.reading.images import Images, Pictures
from genas.pipeline.data.reading.inputs.preprocessing import (
    byte_lighting,
    evaluation_transform,
    lighting,
    padded_crop,
    square_crop,
    train_transform,
)
from genas.pipeline.data.reading.inputs.seeded import Seeded
from genas.pipeline.retrain import stage as retrain
from genas.pipeline.retrain.epoch import Training, learning_rate, loss_of, parts
from genas.pipeline.retrain.evaluation import logits_of, top_k
from tests.conftest import Killed, Tiny, kill_at, make_tiny, tiny_params

FILES = ("weights.safetensors", "history.csv")


def settings(**changed: Any) -> RecipeParams:
    return RecipeParams.model_validate({**tiny_params()["recipes"]["short"], **changed})


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
    assert header.preprocessing.size == 32
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
    cost = network_cost(zoo_genotype("darts_v2_c10"), 32, width=2, layers=3, stem="cifar", num_classes=3)
    assert (metrics["params"], metrics["macs"]) == tuple(cost)
    assert json.loads(json.dumps(metrics)) == metrics
    assert not list((context.root / ".scratch").iterdir())


def test_a_network_begins_as_its_row_s_seed_says(published: Tiny, whole: dict[str, Any]) -> None:
    first, again = (next(retrain.build_network(whole["context"], 3).parameters()) for _ in range(2))
    published.change("rows", published__seed=1)
    other = next(retrain.build_network(published.context("retrain", row="published"), 3).parameters())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("epoch", [pytest.param(2, marks=pytest.mark.slow), 3])
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


@pytest.mark.slow
def test_loader_workers_change_nothing(published: Tiny, whole: dict[str, Any]) -> None:
    published.change("retrain", workers=2)
    retrain.run(published.context("retrain", row="published"))
    for name in FILES:
        assert published.bytes_of("retrain", "published", name) == whole["files"][name]


def test_with_autocast_dropped_paths_and_plain_pixels(published: Tiny) -> None:
    published.change(
        "recipes",
        short__precision="bfloat16",
        short__drop_path=0.3,
        short__normalise="none",
        short__epochs=1,
        short__auxiliary_weight=0.0,
    )
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


def test_the_released_warm_up_ends_at_a_rate_that_has_decayed() -> None:
    params = settings(epochs=250, warmup_epochs=5, learning_rate=0.5, schedule="linear", warmup_to="decayed")
    rates = [learning_rate(epoch, params) for epoch in range(6)]
    expected = [0.5 * (245 - t) / 245 * (t + 1) / 5 for t in range(5)] + [0.5 * 240 / 245]
    assert rates == pytest.approx(expected)
    assert rates[4] == pytest.approx(0.4918, abs=5e-5)


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
    recipe = settings(batch_size=4)
    orders = [[i for part in parts(10, recipe, 0, epoch) for i in part.indices] for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(10))
    assert orders[0] == orders[1] != orders[2]


def test_a_step_is_dealt_out_to_its_parts() -> None:
    whole = parts(10, settings(batch_size=8), 0, 0)
    dealt = parts(10, settings(batch_size=8, accumulate=3), 0, 0)
    assert [part.whole for part in whole] == [8, 2]
    assert [(len(part.indices), part.whole, part.last) for part in dealt] == [
        (3, 8, False),
        (3, 8, False),
        (2, 8, True),
    ]
    assert [part.indices for part in dealt] == [whole[0].indices[i::3] for i in range(3)]


def test_a_last_batch_of_one_image_is_left_out() -> None:
    assert [len(part.indices) for part in parts(9, settings(batch_size=4), 0, 0)] == [4, 4]


def test_mixing_deals_out_pairs() -> None:
    sizes = [len(part.indices) for part in parts(15, settings(batch_size=8, accumulate=2, mixup=0.2), 0, 0)]
    assert sizes == [4, 4, 2, 2]


# ---- a step ---------------------------------------------------------------------------------------------------------


def small_pictures(count: int = 16) -> Pictures:
    generator = np.random.default_rng(3)
    images = Images(generator.integers(0, 255, (count, 16, 16, 3), np.uint8), generator.integers(0, 3, count))
    return Pictures(images, evaluation_transform(Preprocessing(16, (0.5,) * 3, (0.25,) * 3)))


def training(recipe: RecipeParams, frozen: bool = False) -> Training:
    torch.manual_seed(0)
    network = GenasNetwork(zoo_genotype("darts_v2_c10"), 2, 3, 3, stem="cifar", auxiliary=True)
    if frozen:  # BatchNorm that ignores its batch, so that a step is the same in any number of parts
        network = FrozenBatchNorm2d.convert_frozen_batchnorm(network)
    return Training(network, recipe)


@pytest.mark.parametrize("accumulate", [2, 3, 4])
def test_accumulated_gradients_are_those_of_the_whole_batch(accumulate: int) -> None:
    """Where BatchNorm does not look at the batch, the weights agree to float32's rounding."""
    one, many = (training(settings(batch_size=16, accumulate=a, learning_rate=0.05), True) for a in (1, accumulate))
    before = {name: p.detach().clone() for name, p in one.network.named_parameters()}
    for epoch in range(3):
        assert many.epoch(small_pictures(), 0, epoch) == pytest.approx(one.epoch(small_pictures(), 0, epoch), rel=1e-5)
    for name, parameter in one.network.named_parameters():
        torch.testing.assert_close(many.network.get_parameter(name), parameter, rtol=1e-4, atol=1e-6)
        assert not parameter.equal(before[name])


def test_the_optimizer_is_timms_by_name() -> None:
    optimizer = training(settings(optimizer="momentum")).optimizer
    assert isinstance(optimizer, torch.optim.SGD)
    assert not optimizer.defaults["nesterov"]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [3e-4]
    split = training(settings(optimizer="lamb", decay="weights")).optimizer
    assert [group["weight_decay"] for group in split.param_groups] == [0.0, 3e-4]
    assert all(p.ndim <= 1 for p in split.param_groups[0]["params"])
    with pytest.raises(GenasError, match="unknown optimizer 'sdg', expected one of timm's"):
        training(settings(optimizer="sdg"))


def test_the_average_follows_the_weights() -> None:
    """After one step from w0 to w1 with decay d it is d w0 + (1 - d) w1."""
    run = training(settings(batch_size=16, ema_decay=0.75))
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.epoch(small_pictures(), 0, 0)
    after = run.evaluated.state_dict()
    assert run.evaluated is not run.network
    for name, value in run.network.state_dict().items():
        expected = 0.75 * before[name] + 0.25 * value if value.is_floating_point() else value
        torch.testing.assert_close(after[name], expected)


def test_mixed_labels_are_sums_of_two() -> None:
    run = training(settings(batch_size=16, mixup=0.5))
    assert run.mixup is not None
    np.random.seed(0)
    _, mixed = run.mixup(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))
    assert mixed.shape == (4, 3)
    torch.testing.assert_close(mixed.sum(1), torch.ones(4))
    assert math.isfinite(run.epoch(small_pictures(), 0, 0))


def test_a_loss_that_is_no_longer_finite_is_said_so() -> None:
    run = training(settings(learning_rate=1e30, clip_norm=None, batch_size=4))
    with pytest.raises(GenasError, match=r"the loss is (nan|inf) in epoch 1: lower the recipe's learning_rate"):
        run.epoch(small_pictures(), 0, 0)


def test_every_switch_of_the_modern_recipe_runs_resumes_and_keeps_the_best(published: Tiny) -> None:
    published.change(
        "recipes",
        short__optimizer="lamb",
        short__decay="weights",
        short__clip_norm=None,
        short__auto_augment="rand-m7-mstd0.5-inc1",
        short__random_erasing=0.3,
        short__mixup=0.1,
        short__cutmix=1.0,
        short__ema_decay=0.9,
        short__accumulate=2,
        short__precision="bfloat16",
        short__interpolation="bicubic",
        short__keep="best",
    )
    context = published.context("retrain", row="published")
    metrics = retrain.run(context)
    files = {name: published.bytes_of("retrain", "published", name) for name in FILES}
    history = pd.read_csv(context.out / "history.csv")
    assert history["raw_top1"].between(0, 100).all()
    assert metrics["best_epoch"] == 1 + history["top1"].idxmax()
    kept = load_network(context.out / "weights.safetensors")
    val = retrain.prepare(context)[1]
    assert top_k(*logits_of(kept, val, 7), 1) == metrics["best_top1"]
    (context.out / "weights.safetensors").unlink()
    with pytest.raises(Killed):
        retrain.run(published.context("retrain", kill_at(2), row="published"))
    retrain.run(published.context("retrain", row="published"))
    for name in FILES:
        assert published.bytes_of("retrain", "published", name) == files[name]


def test_a_budget_finds_the_width(published: Tiny) -> None:
    published.change("rows", published__width=None, published__macs=2e6)
    published.change("recipes", short__epochs=1)
    context = published.context("retrain", row="published")
    metrics = retrain.run(context)
    header = read_header(context.out / "weights.safetensors")
    assert header.architecture["width"] == metrics["width"] > 2
    wider = network_cost(header.genotype, 32, width=int(metrics["width"]) + 2, layers=3, stem="cifar", num_classes=3)
    assert abs(metrics["macs"] - 2e6) < abs(wider.macs - 2e6)


# ---- pixels ---------------------------------------------------------------------------------------------------------


def test_the_official_crop_is_a_square_of_the_image() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(40)[:, None] * 6, np.arange(60)[None] * 4
    for seed in range(20):
        torch.manual_seed(seed)
        cropped = np.asarray(square_crop(Image.fromarray(pixels), 8, 0.08)).astype(float)
        down, across = (cropped[-1, 0, 0] - cropped[0, 0, 0]) / 6, (cropped[0, -1, 1] - cropped[0, 0, 1]) / 4
        assert down == pytest.approx(across, abs=1), "as high as wide, in pixels of the image"
        assert 0.08**0.5 * (40 * 60) ** 0.5 * 7 / 8 - 1 <= down <= 40


def test_the_lighting_shifts_colours_along_the_principal_components() -> None:
    torch.manual_seed(0)
    shifts = torch.stack([lighting(torch.zeros(3, 2, 2))[:, 0, 0] for _ in range(4000)])
    vectors = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    torch.testing.assert_close(
        (shifts @ vectors).std(0), 0.1 * torch.tensor([0.2175, 0.0188, 0.0045]), rtol=0.05, atol=0
    )


def test_a_released_crop_that_fails_is_black_where_it_leaves_the_picture() -> None:
    """100 by 4: a square of all of its area has 20 pixels a side, 4 rows of which are the picture's."""
    picture = Image.new("RGB", (100, 4), "white")
    firsts = set()
    for seed in range(40):
        torch.manual_seed(seed)
        rows = np.asarray(padded_crop(picture, 20, 1.0))[:, :, 0]
        (white,) = np.nonzero(rows[:, 0])
        assert set(rows.ravel().tolist()) == {0, 255}
        assert (rows == rows[:, :1]).all(), "it is inside from left to right"
        assert white.tolist() == list(range(white[0], white[0] + 4))
        firsts.add(int(white[0]))
        torch.manual_seed(seed)
        tall = np.asarray(padded_crop(picture.rotate(90, expand=True), 20, 1.0))[:, :, 0]
        assert (tall.sum(0) > 0).sum() == 4
    assert min(firsts) < 4
    assert max(firsts) > 12
    assert max(firsts) <= 16
    assert np.asarray(square_crop(picture, 20, 1.0)).min() == 255


def test_a_released_crop_that_fits_is_a_square_of_the_image() -> None:
    pixels = np.tile(np.arange(60, dtype=np.uint8)[None, :, None] * 4, (40, 1, 3))
    for seed in range(20):
        torch.manual_seed(seed)
        cropped = np.asarray(padded_crop(Image.fromarray(pixels), 8, 0.08)).astype(float)
        across = (cropped[0, -1, 0] - cropped[0, 0, 0]) / 4
        assert 0.08**0.5 * (40 * 60) ** 0.5 * 7 / 8 - 1 <= across <= 40


def test_released_lighting_is_that_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a 255th and more is cut off, not rounded: a shift of 0.9 bytes leaves 100 where it is."""
    monkeypatch.setattr("genas.pipeline.data.reading.inputs.preprocessing.lighting", lambda pixels: pixels + 0.9 / 255)
    pixels = torch.tensor([0.0, 100.0, 255.0]).expand(3, 1, 3) / 255
    assert (byte_lighting(pixels) * 255)[0, 0].tolist() == pytest.approx([0, 100, 255])
    monkeypatch.setattr("genas.pipeline.data.reading.inputs.preprocessing.lighting", lambda pixels: pixels - 0.9 / 255)
    assert (byte_lighting(pixels) * 255)[0, 0].tolist() == pytest.approx([0, 99, 254])


def test_the_official_preprocessing_travels_with_the_weights(published: Tiny) -> None:
    published.change(
        "recipes",
        short__preprocessing="official",
        short__color_jitter=0.0,
        short__normalise="none",
        short__crop_pct=0.5,
        short__epochs=1,
    )
    context = published.context("retrain", row="published")
    metrics = retrain.run(context)
    pre = read_header(context.out / "weights.safetensors").preprocessing
    assert (pre.resize, pre.mean, pre.std) == ("opencv", (0, 0, 0), (1, 1, 1))
    val = Pictures(retrain.prepare(context)[1].source, evaluation_transform(pre))
    assert top_k(*logits_of(load_network(context.out / "weights.safetensors"), val, 9), 1) == metrics["top1"]
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    resized = cv2.resize(np.asarray(image), (85, 64), interpolation=cv2.INTER_LINEAR)
    expected = torch.from_numpy(resized[16:48, 26:58] / 255).permute(2, 0, 1).float()
    torch.testing.assert_close(evaluation_transform(pre)(image), expected)
    official = settings(preprocessing="official", color_jitter=0.0)
    assert train_transform(official, official.flip, pre)(image).shape == (3, 32, 32)


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
    path = tmp_path / "broken.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    network = retrain.build_network(published.context("retrain", row="published"), 3)
    data = Pictures([(path, 0)], evaluation_transform(Preprocessing(16, (0.5,) * 3, (0.5,) * 3)))
    for workers in (0, 1):
        with pytest.raises(GenasError, match="not a readable image") as caught:
            logits_of(network, data, 1, workers)
        assert str(path) in str(caught.value)

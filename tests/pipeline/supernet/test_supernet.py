"""The supernet stage: reproducible, resumable, and its schedule, augmentation and decay as documented."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.config import SupernetParams
from genas.pipeline.context import Context
from genas.pipeline.data.reading.halves import Augmentation, SearchData, load_search_data
from genas.pipeline.supernet import stage as supernet
from genas.pipeline.supernet import training
from genas.pipeline.supernet.batches import random_labels
from genas.pipeline.supernet.network import build_supernet, load_supernets
from genas.pipeline.supernet.training import (
    INITIAL,
    TRAINED,
    draw_uniformly,
    learning_rate,
    make_optimizer,
    train_epoch,
)
from tests.conftest import Killed, Tiny, kill_at, killed_ten_times, tiny_params

ROW = {"dataset": "small", "seed": "0"}
UNIFORM = draw_uniformly(random_genotype)


def halves_of(context: Context) -> SearchData:
    """The data of a row of the supernet or the search."""
    return load_search_data(context, context.params.supernet["small"])


def settings(**changed: Any) -> SupernetParams:
    return SupernetParams.model_validate({**tiny_params()["supernet"]["small"], **changed})


def test_a_run_leaves_weights_history_and_metrics(tiny: Tiny) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    context = tiny.context("supernet", lambda step, values: logged.append((step, dict(values))), **ROW)
    metrics = supernet.run(context)
    history = pd.read_csv(context.out / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["lr"].tolist() == pytest.approx(
        [learning_rate(epoch, 0, context.params.supernet["small"]) for epoch in range(3)]
    )
    assert history["top1"].notna().tolist() == [False, True, True]  # validated every second epoch and at the end
    last = history.iloc[-1]
    assert metrics == pytest.approx({name: last[name] for name in ("loss", "top1", "train_loss")})
    assert [step for step, _ in logged] == [1, 2, 3]
    assert logged[-1][1]["top1"] == metrics["top1"]
    before, after = (load_file(str(context.out / name)) for name in (INITIAL, TRAINED))
    assert before.keys() == after.keys()
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
    assert json.loads(json.dumps(metrics)) == metrics
    assert not list((tiny.root / ".scratch").iterdir())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tiny: Tiny, trained_outputs: Any) -> None:
    supernet.run(tiny.context("supernet", **ROW))
    for name in (INITIAL, TRAINED, "history.csv"):
        assert tiny.bytes_of("supernet", "small-0", name) == (trained_outputs / "supernet/small-0" / name).read_bytes()
    tiny.change("supernet", small__epochs=1)
    supernet.run(tiny.context("supernet", dataset="small", seed="1"))
    assert tiny.bytes_of("supernet", "small-1", INITIAL) != tiny.bytes_of("supernet", "small-0", INITIAL)


def test_validation_leaves_every_parameter_and_statistic(
    tiny: Tiny, trained_outputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training without it ends with the same bytes."""
    monkeypatch.setattr(training, "validate", lambda probe, paths: {"loss": 0.0, "top1": 0.0})
    assert supernet.run(tiny.context("supernet", **ROW))["top1"] == 0
    validated = (trained_outputs / "supernet/small-0" / TRAINED).read_bytes()
    assert tiny.bytes_of("supernet", "small-0", TRAINED) == validated


@pytest.mark.parametrize("epoch", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_a_whole_one(
    tiny: Tiny, trained_outputs: Any, epoch: int
) -> None:
    with pytest.raises(Killed):
        supernet.run(tiny.context("supernet", kill_at(epoch), **ROW))
    assert not (tiny.root / "out/supernet/small-0" / TRAINED).exists()
    resumed: list[int] = []
    supernet.run(tiny.context("supernet", lambda step, _: resumed.append(step), **ROW))
    assert resumed == list(range(epoch, 4))
    for name in (INITIAL, TRAINED, "history.csv"):
        assert tiny.bytes_of("supernet", "small-0", name) == (trained_outputs / "supernet/small-0" / name).read_bytes()


@pytest.mark.parametrize(
    ("damaged", "again", "cut"),
    [
        (1, [2, 3], False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((2, [1, 2, 3], False), (1, [2, 3], True), (2, [1, 2, 3], True))
        ),
    ],
)
def test_a_damaged_state_changes_no_byte(
    tiny: Tiny, trained_outputs: Any, damaged: int, again: list[int], cut: bool
) -> None:
    """The last of two states, or both; a bit flipped in the middle, or the second half lost."""
    with pytest.raises(Killed):
        supernet.run(tiny.context("supernet", kill_at(3), **ROW))
    (folder,) = (tiny.root / ".scratch").iterdir()
    for name in ("state.pt", "state.pt.before")[:damaged]:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 4
        (folder / name).write_bytes(content[: len(content) // 2] if cut else content)
    seen: list[int] = []
    supernet.run(tiny.context("supernet", lambda step, _: seen.append(step), **ROW))
    assert seen == again
    for name in (INITIAL, TRAINED, "history.csv"):
        assert tiny.bytes_of("supernet", "small-0", name) == (trained_outputs / "supernet/small-0" / name).read_bytes()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_in_one_line(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def step(*arguments: Any) -> torch.Tensor:
        return torch.tensor(value)

    monkeypatch.setattr(training, "train_step", step)
    with pytest.raises(GenasError, match=rf"^epoch 1: the training loss is {value}, expected a finite number"):
        supernet.run(tiny.context("supernet", **ROW))
    assert not (tiny.root / "out/supernet/small-0" / TRAINED).exists()


def test_weights_that_the_last_step_spoils_are_noticed(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "validate", lambda probe, paths: {"loss": math.nan, "top1": 0.0})
    with pytest.raises(GenasError, match=r"^epoch 2: the loss is nan, expected a finite number"):
        supernet.run(tiny.context("supernet", **ROW))


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.001, "train_share: 0.001 of 60 images is 0 to train on and 60 to search with, expected some of each"),
        (0.02, "no step in an epoch: 1 images to train on, expected at least 2"),
    ],
)
def test_too_few_images_are_one_line(tiny: Tiny, share: float, message: str) -> None:
    tiny.change("supernet", small__train_share=share)
    with pytest.raises(GenasError, match=f"^{message}"):
        supernet.run(tiny.context("supernet", **ROW))


@pytest.mark.slow
def test_a_killed_run_under_other_parameters_starts_afresh(tiny: Tiny) -> None:
    with pytest.raises(Killed):
        supernet.run(tiny.context("supernet", kill_at(3), **ROW))
    tiny.change("supernet", small__learning_rate=0.01)
    seen: list[int] = []
    supernet.run(tiny.context("supernet", lambda step, _: seen.append(step), **ROW))
    assert seen == [1, 2, 3]


def test_unselected_operations_decay_or_freeze(tiny: Tiny) -> None:
    """After an epoch of two steps most operations were never on a path, and some in the first step alone."""
    context = tiny.context("supernet", **ROW)
    data = halves_of(context)
    states = {}
    for unselected in ("decay", "first", "freeze"):
        rate = {"learning_rate": 0.1, "learning_rate_min": 0.1, "trainer": "plain"}
        params = settings(unselected=unselected, weight_decay=0.1, momentum=0.0, **rate)
        network = build_supernet(context, data.num_classes)
        start = {name: p.detach().clone() for name, p in network.named_parameters()}
        train_epoch(network, make_optimizer(network, params), data, params, seed=0, epoch=0, draw=UNIFORM)
        states[unselected] = {name: p.detach() for name, p in network.named_parameters()}
    paths = np.random.default_rng([0, 2, 0])
    steps = math.ceil(len(data.train_labels) / 20)
    ran = [random_genotype(paths) for _ in range(steps)]
    touched = {id(p) for genotype in ran for module in network.path_modules(genotype) for p in module.parameters()}
    idle = [name for name, p in network.named_parameters() if id(p) not in touched]
    assert len(idle) > 100
    for name in idle:
        assert torch.equal(states["freeze"][name], start[name])
        assert torch.equal(states["first"][name], start[name])
        torch.testing.assert_close(states["decay"][name], start[name] * (1 - 0.1 * 0.1) ** steps)
    early, late = ({id(p) for m in network.path_modules(one) for p in m.parameters()} for one in (ran[0], ran[-1]))
    once = [name for name, p in network.named_parameters() if id(p) in early - late]
    assert len(once) > 10
    for name in once:  # selected in the first step, and so decaying in the last one too
        assert torch.equal(states["first"][name], states["decay"][name])
        assert not torch.equal(states["first"][name], states["freeze"][name])
    assert not torch.equal(states["freeze"]["stem.0.weight"], start["stem.0.weight"])


@pytest.mark.slow
def test_what_has_been_selected_decays_after_a_kill_too(tiny: Tiny) -> None:
    tiny.change("supernet", small__unselected="first", small__trainer="plain")
    supernet.run(tiny.context("supernet", **ROW))
    whole = tiny.bytes_of("supernet", "small-0", TRAINED)
    with pytest.raises(Killed):
        supernet.run(tiny.context("supernet", kill_at(2), **ROW))
    supernet.run(tiny.context("supernet", **ROW))
    assert tiny.bytes_of("supernet", "small-0", TRAINED) == whole


def test_the_cosine_by_hand() -> None:
    params = settings(epochs=4, learning_rate=0.025, learning_rate_min=0.001)
    # the official loop steps first, so the first epoch stands at t = 1 and the last at the minimum
    half = math.sqrt(0.5)
    expected = [0.001 + 0.024 * (1 + c) / 2 for c in (half, 0, -half, -1)]
    assert [learning_rate(epoch, 0, params) for epoch in range(4)] == pytest.approx(expected)


def test_a_rate_of_each_step_by_hand() -> None:
    """RLNAS updates by the fraction of the epoch that is done, and starts at the full rate."""
    params = settings(epochs=2, learning_rate=0.025, learning_rate_min=0.001, update="step")
    half = math.sqrt(0.5)
    expected = [0.001 + 0.024 * (1 + c) / 2 for c in (1, half, 0, -half)]
    times = [(epoch, share) for epoch in range(2) for share in (0, 0.5)]
    assert [learning_rate(*time, params) for time in times] == pytest.approx(expected)
    straight = settings(epochs=2, learning_rate=0.1, learning_rate_min=0.02, schedule="linear", update="step")
    assert [learning_rate(*time, straight) for time in times] == pytest.approx([0.1, 0.08, 0.06, 0.04])


def stepped(gradient: list[float], **changed: Any) -> list[float]:
    """A weight (1, 2) and a bias (2,) of 1 after a step of rate 1 along a gradient."""
    params = settings(learning_rate=1.0, momentum=0.0, unselected="freeze", trainer="plain", **changed)
    module = nn.ParameterDict({"weight": nn.Parameter(torch.ones(1, 2)), "bias": nn.Parameter(torch.ones(2))})

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = module

        def forward(self, images: torch.Tensor, architecture: Any) -> torch.Tensor:
            moved = (self.held["weight"][0] * images[0] + self.held["bias"] * images[1]).sum()
            return torch.stack([moved, -moved])[None]  # cross-entropy has a gradient of -2 sigmoid(-2 moved)

    network = Fixed()
    optimizer = make_optimizer(network, params)
    images = torch.tensor([gradient[:2], gradient[2:]])
    training.train_step(network, optimizer, images, torch.tensor([0]), None, params)  # type: ignore[arg-type]
    return [*module["weight"][0].tolist(), *module["bias"].tolist()]


def test_what_decays_and_what_is_clipped() -> None:
    still = [0.0] * 4
    assert stepped(still, weight_decay=0.1, decay="all") == pytest.approx([0.9] * 4)
    assert stepped(still, weight_decay=0.1, decay="weights") == pytest.approx([0.9, 0.9, 1, 1])
    free = {"weight_decay": 0.0, "clip_norm": None, "clip_value": None}
    uphill = [-3.0, 0.0, 0.0, -0.01]  # the loss falls as the numbers fall: gradients of about 6 and 0.02
    assert stepped(uphill, **free)[0] == pytest.approx(1 - 6, rel=0.02)
    assert stepped(uphill, **free | {"clip_value": 0.5})[::3] == pytest.approx([0.5, 0.98], rel=0.01)
    norm = stepped(uphill, **free | {"clip_norm": 0.5})
    assert math.dist(norm, [1] * 4) == pytest.approx(0.5, rel=1e-3)
    assert norm[3] == pytest.approx(1, abs=0.01)


def augment(images: torch.Tensor, generator: torch.Generator, padding: int, flip: bool) -> torch.Tensor:
    params = settings(crop_padding=padding / images.shape[2], flip=flip)
    return Augmentation.draw(images, params, generator)(images)


def numbered(n: int = 4, size: int = 6) -> torch.Tensor:
    return torch.arange(1.0, n * 3 * size * size + 1).view(n, 3, size, size)


def test_part_of_an_augmentation_is_that_of_the_part() -> None:
    images, params = numbered(8), settings(crop_padding=1 / 3, flip=True)
    whole = Augmentation.draw(images, params, torch.Generator().manual_seed(0))
    assert torch.equal(whole.of(slice(2, 5))(images[2:5]), whole(images)[2:5])


RLNAS = {"update": "step", "nesterov": True, "decay": "weights", "clip_norm": None, "label_smoothing": 0.1}


@pytest.mark.parametrize(
    "changed",
    [{"unselected": "decay"}, {"unselected": "freeze"}, {"unselected": "decay", **RLNAS}],
    ids=["decay", "freeze", "rlnas"],
)
def test_the_fast_trainer_takes_the_plain_one_s_steps(tiny: Tiny, changed: dict[str, Any]) -> None:
    """Fifteen steps: weights, running statistics and losses to float tolerance.

    No more: where rounding takes one activation across ReLU's kink, weights part by 1e-4, seen after 18 steps on AVX2.
    """
    context = tiny.context("supernet", **ROW)
    data = halves_of(context)
    states, losses = [], []
    for trainer in ("plain", "fast"):
        params = settings(trainer=trainer, batch_size=10, learning_rate=0.002, **changed)
        network = build_supernet(
            replace(context, params=context.params.model_copy(update={"supernet": {"small": params}})), 3
        )
        optimizer = make_optimizer(network, params)
        losses.append(
            [train_epoch(network, optimizer, data, params, seed=0, epoch=epoch, draw=UNIFORM) for epoch in range(5)]
        )
        states.append(network.state_dict())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_augmentation_keeps_shapes_and_depends_on_its_generator_alone(padding: int, flip: bool) -> None:
    images = numbered()
    kept = images.clone()
    first = augment(images, torch.Generator().manual_seed(0), padding, flip)
    torch.manual_seed(7)
    assert torch.equal(augment(images, torch.Generator().manual_seed(0), padding, flip), first)
    assert first.shape == images.shape
    assert first.is_contiguous()
    last = images.contiguous(memory_format=torch.channels_last)
    again = augment(last, torch.Generator().manual_seed(0), padding, flip)
    assert again.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(again, first)
    assert torch.equal(images, kept)
    assert torch.equal(first, images) == (padding == 0 and not flip)


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    images = numbered(16)
    out = augment(images, torch.Generator().manual_seed(0), 2, False)
    padded = torch.nn.functional.pad(images, [2] * 4)
    offsets = set()
    for before, after in zip(padded, out, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(before[:, y : y + 6, x : x + 6], after)]
        assert len(found) == 1
        offsets.add(found[0])
    assert len(offsets) > 5  # each image has its own


def test_a_flip_mirrors_some_images_and_not_others() -> None:
    images = numbered(20)
    out = augment(images, torch.Generator().manual_seed(0), 0, True)
    mirrored = [torch.equal(after, before.flip(2)) for before, after in zip(images, out, strict=True)]
    assert all(m or torch.equal(after, before) for m, before, after in zip(mirrored, images, out, strict=True))
    assert 4 < sum(mirrored) < 16


def test_the_two_halves_share_no_image_and_leave_none_out(tiny: Tiny) -> None:
    data = halves_of(tiny.context("supernet", **ROW))
    assert (len(data.train_labels), len(data.held_labels)) == (30, 30)
    assert data.num_classes == 3
    rows = [tuple(image.flatten().tolist()) for image in (*data.train_images, *data.held_images)]
    assert len(set(rows)) == 60
    again = halves_of(tiny.context("search", dataset="small", metric="angle", seed="0"))
    assert torch.equal(again.held_images, data.held_images)
    other = halves_of(tiny.context("supernet", dataset="small", seed="1"))
    assert not torch.equal(other.held_images, data.held_images)
    everything = torch.cat([data.train_images, data.held_images])
    assert float(everything.mean()) == pytest.approx(0, abs=1e-2)
    assert float(everything.std()) == pytest.approx(1, abs=2e-2)


def test_supernets_are_read_back_and_a_wrong_shape_is_named(trained: Tiny) -> None:
    context = trained.context("search", dataset="small", metric="angle", seed="0")
    initial, final = load_supernets(context, 3)
    assert torch.equal(initial.stem[0].weight, build_supernet(context, 3).stem[0].weight)
    assert not torch.equal(initial.stem[0].weight, final.stem[0].weight)
    with pytest.raises(GenasError, match=r"initial\.safetensors: classifier\.bias has shape \(3,\), expected \(5,\)"):
        load_supernets(context, 5)
    trained.change("supernet", small__channels=4)
    with pytest.raises(GenasError, match=r"initial\.safetensors: cells\.0\.\S+ has shape"):
        load_supernets(trained.context("search", dataset="small", metric="angle", seed="0"), 3)


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_bytes_of_a_whole_one(tiny: Tiny) -> None:
    tiny.change("supernet", small__epochs=40)
    whole, resumed = killed_ten_times(tiny, "supernet", ROW, (INITIAL, TRAINED, "history.csv", "metrics.json"))
    assert resumed == whole


def test_random_labels_stay_with_their_image_and_differ_from_the_true_ones(tiny: Tiny) -> None:
    """As RLNAS: drawn once, uniformly; held-out images keep theirs."""
    data = halves_of(tiny.context("supernet", **ROW))
    drawn = random_labels(data, seed=0)
    assert torch.equal(drawn.train_labels, random_labels(data, seed=0).train_labels)
    assert not torch.equal(drawn.train_labels, random_labels(data, seed=1).train_labels)
    assert 0.1 < float((drawn.train_labels == data.train_labels).float().mean()) < 0.7
    assert set(drawn.train_labels.tolist()) == {0, 1, 2}
    assert drawn.held_labels is data.held_labels
    assert drawn.train_images is data.train_images


@pytest.mark.parametrize(("key", "value"), [("labels", "random"), ("amp", True)])
def test_options_train_another_supernet(tiny: Tiny, trained_outputs: Any, key: str, value: Any) -> None:
    tiny.change("supernet", **{f"small__{key}": value})
    supernet.run(tiny.context("supernet", **ROW))
    ours, theirs = (load_file(root / "supernet/small-0" / TRAINED) for root in (tiny.root / "out", trained_outputs))
    gap = max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours if "weight" in name)
    assert all(torch.isfinite(value).all() for value in ours.values())
    limits = {"labels": (1e-3, math.inf), "amp": (1e-7, 0.2)}
    assert limits[key][0] <= gap <= limits[key][1]


@pytest.mark.slow
def test_the_layout_in_memory_changes_nothing_but_rounding(tiny: Tiny) -> None:
    """At a rate at which a difference in rounding stays one."""
    weights = []
    for layout in (True, False):
        tiny.change("supernet", small__channels_last=layout, small__learning_rate=0.002)
        context = tiny.context("supernet", **ROW)
        supernet.run(context)
        weights.append(load_file(context.out / TRAINED))
    gaps = {name: float((weights[1][name].float() - value.float()).abs().max()) for name, value in weights[0].items()}
    assert max(gap for name, gap in gaps.items() if "weight" in name or "bias" in name) < 1e-3, gaps

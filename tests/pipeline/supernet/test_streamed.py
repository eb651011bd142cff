"""A supernet trained as on ImageNet, its stem and its photographs streamed from their files; and a search in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from genas.models.errors import GenasError
from genas.models.spaces.darts.genotype import random_genotype
from genas.pipeline.data.reading.halves import load_search_data
from genas.pipeline.search import stage as search
from genas.pipeline.search.evolution import allowed
from genas.pipeline.supernet import stage as supernet
from genas.pipeline.supernet.batches import batches, random_labels
from genas.pipeline.supernet.network import build_supernet
from genas.pipeline.supernet.training import INITIAL, TRAINED, draw_uniformly, make_optimizer, train_epoch
from tests.conftest import Killed, Tiny, kill_at, killed_ten_times, make_streaming, run_stage, write_photographs

ROW = {"dataset": "photos", "seed": "0"}
FILES = (INITIAL, TRAINED, "history.csv")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a whole run leaves."""
    folder = tmp_path_factory.mktemp("streamed")
    write_photographs(folder / "data" / "photos")
    (folder / "profile").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAS_DATA", str(folder / "data"))
        profile = make_streaming(folder / "profile", folder / "data" / "photos")
        supernet.run(profile.context("supernet", **ROW))
    return profile.root / "out/supernet/photos-0"


def test_a_run_trains_the_network_of_imagenet(outputs: Path) -> None:
    before, after = (load_file(str(outputs / name)) for name in (INITIAL, TRAINED))
    assert before["stem.0.0.weight"].shape == (2, 3, 3, 3)
    assert before["stem.1.1.weight"].shape == (4, 4, 3, 3)
    assert not torch.equal(before["stem.0.0.weight"], after["stem.0.0.weight"])
    history = pd.read_csv(outputs / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["loss"].notna().tolist() == [False, True, True]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_a_whole_one(
    streaming: Tiny, outputs: Path, workers: int
) -> None:
    """Also with other processes that decode."""
    streaming.change("supernet", photos__streamed__workers=workers)
    with pytest.raises(Killed):
        supernet.run(streaming.context("supernet", kill_at(2), **ROW))
    seen: list[int] = []
    supernet.run(streaming.context("supernet", lambda step, _: seen.append(step), **ROW))
    assert seen == [2, 3]
    for name in FILES:
        assert streaming.bytes_of("supernet", "photos-0", name) == (outputs / name).read_bytes()


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_bytes_of_a_whole_one(streaming: Tiny) -> None:
    streaming.change("supernet", photos__epochs=30)
    whole, resumed = killed_ten_times(streaming, "supernet", ROW, (*FILES, "metrics.json"))
    assert resumed == whole


def test_an_epoch_sees_every_image_of_the_training_half_once(streaming: Tiny) -> None:
    context = streaming.context("supernet", **ROW)
    params = context.params.supernet["photos"]
    data = load_search_data(context, params, 4, 4)
    seen = list(batches(data, params, 0, 0))
    assert [batch.whole for batch in seen] == [8, 8, 8, 3]
    assert [batch.done for batch in seen] == pytest.approx([0, 8 / 27, 16 / 27, 24 / 27])
    assert data.stream is not None
    labels = torch.cat([batch.labels for batch in seen])
    assert labels.bincount().tolist() == np.bincount(data.stream.source.labels).tolist()
    assert not torch.equal(labels, torch.cat([batch.labels for batch in batches(data, params, 0, 1)]))


def test_random_labels_are_those_of_the_stream_too(streaming: Tiny) -> None:
    context = streaming.context("supernet", **ROW)
    params = context.params.supernet["photos"]
    data = load_search_data(context, params, 4, 4)
    drawn = random_labels(data, 0)
    assert drawn.stream is not None
    assert drawn.stream.source.labels[:4].tolist() == drawn.train_labels.tolist()
    assert drawn.held_labels is data.held_labels
    labels, images = zip(*((b.labels, b.images) for b in batches(drawn, params, 0, 0)), strict=True)
    assert torch.cat(labels).bincount().tolist() == np.bincount(drawn.stream.source.labels).tolist()
    assert torch.equal(torch.cat(images), torch.cat([batch.images for batch in batches(data, params, 0, 0)]))


def test_the_fast_trainer_takes_the_plain_one_s_steps(streaming: Tiny) -> None:
    """Maps of 8, 4 and 2 pixels behind a stem of 16: weights and losses to float tolerance after four steps."""
    states: list[dict[str, Any]] = []
    losses = []
    for trainer in ("plain", "fast"):
        streaming.change("supernet", photos__trainer=trainer, photos__learning_rate=0.002)
        context = streaming.context("supernet", **ROW)
        params = context.params.supernet["photos"]
        network = build_supernet(context, 3)
        draw, data = draw_uniformly(random_genotype), load_search_data(context, params, 4, 4)
        losses.append(train_epoch(network, make_optimizer(network, params), data, params, 0, 0, draw))
        states.append(network.state_dict())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_search_in_it_keeps_to_the_limit_and_names_its_scorer(streaming: Tiny, outputs: Path) -> None:
    """The native scorer knows no stem of imagenet: auto is the fast one, and says so."""
    (streaming.root / "out/supernet").mkdir(parents=True, exist_ok=True)
    (streaming.root / "out/supernet/photos-0").symlink_to(outputs)
    streaming.change("search", photos__max_macs=4.7e8, photos__generations=2)
    context = streaming.context("search", dataset="photos", metric="flatness", seed="0")
    metrics = search.run(context)
    assert metrics["macs"] <= 4.7e8
    assert metrics["quarantined"] == 0
    assert context.notes["scorer"] == "fast"
    limits = context.params.search["photos"]
    rng = np.random.default_rng(0)
    assert 0 < sum(allowed(random_genotype(rng), limits) for _ in range(50)) < 50
    streaming.change("measures", scorer="native")
    with pytest.raises(GenasError, match="scorer native knows stem cifar, not imagenet; choose scorer fast"):
        search.run(streaming.context("search", dataset="photos", metric="flatness", seed="0"))


@pytest.mark.slow
def test_two_processes_train_it_as_one(streaming: Tiny) -> None:
    """The same bytes again in two, and the tensors of one but for rounding."""

    def train() -> dict[str, torch.Tensor]:
        done = run_stage(streaming.root, "supernet", "dataset=photos", "seed=0", processes=2)
        assert done.returncode == 0, done.stderr
        return load_file(streaming.root / "out/supernet/photos-0" / TRAINED)

    # 27 images: of a rest of three, two processes would have less than two each
    streaming.change("supernet", photos__learning_rate=0.002, photos__batch_size=9, photos__epochs=1)
    together, again = train(), train()
    assert all(torch.equal(again[name], value) for name, value in together.items())
    supernet.run(streaming.context("supernet", **ROW))
    alone = load_file(streaming.root / "out/supernet/photos-0" / TRAINED)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-2, atol=1e-3, msg=name)

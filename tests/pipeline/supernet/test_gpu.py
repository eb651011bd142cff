"""Supernet steps on a GPU, without one: the host waits for the loss of an epoch, and for nothing within it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genas.models.fast.gradients import quicken
from genas.pipeline.config import SupernetParams
from genas.pipeline.supernet.training import draw_uniformly, make_optimizer, random_labels, train_epoch
from tests.conftest import tiny_params
from tests.fake_cuda import fake_cuda
from tests.pipeline.measures.test_measures import path, search_data, supernet


@pytest.mark.parametrize(
    "settings",
    [
        {"trainer": "fast", "unselected": "decay", "amp": True},  # all parameters in one vector
        {"trainer": "plain", "unselected": "freeze", "labels": "random"},
    ],
    ids=["one vector", "plain"],
)
def test_an_epoch_waits_for_its_loss_alone(settings: dict[str, Any]) -> None:
    params = SupernetParams.model_validate(
        {**tiny_params()["supernet"]["small"], "batch_size": 6, "flip": True, **settings}
    )
    network, data = supernet(), search_data(6)
    network = quicken(network) if params.trainer == "fast" else network
    seen: set[torch.dtype] = set()

    def look(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.add(output.dtype)

    with fake_cuda() as gpu:
        network = network.to("cuda")
        network.classifier.register_forward_hook(look)
        data = data._replace(train_images=data.train_images.to("cuda"), train_labels=data.train_labels.to("cuda"))
        if params.labels == "random":
            data = random_labels(data, 0)
        draw = draw_uniformly(lambda _: path(0))
        assert train_epoch(network, make_optimizer(network, params), data, params, 0, 0, draw) == 1
    assert gpu.waits == ["pipeline/supernet/training.py:train_epoch"]
    assert seen == {torch.bfloat16 if params.amp else torch.float32}

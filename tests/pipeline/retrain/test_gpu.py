"""Retraining and evaluation on a GPU, without one: what a step does there, and how often the host waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genas.models.networks.files.checkpoint import Preprocessing, load_network
from genas.models.networks.published import zoo_genotype
from genas.models.spaces.darts.network import GenasNetwork
from genas.pipeline.retrain.epoch import Training
from genas.pipeline.retrain.evaluation import logits_of
from tests.fake_cuda import fake_cuda
from tests.networks import write_network
from tests.pipeline.retrain.test_retrain import settings, small_pictures

LOSS, SCALER = "pipeline/retrain/epoch.py:epoch", "pipeline/retrain/epoch.py:_step"


@pytest.mark.parametrize(
    ("changed", "dtype", "waits"),
    [
        ({"precision": "bfloat16", "accumulate": 2}, torch.bfloat16, [LOSS]),
        ({"precision": "float16"}, torch.float16, [SCALER, SCALER, LOSS]),  # whether a gradient overflowed, each step
        (
            {"optimizer": "lamb", "clip_norm": None, "mixup": 0.2, "cutmix": 1.0, "ema_decay": 0.9, "drop_path": 0.3},
            torch.float32,
            [LOSS],
        ),
    ],
    ids=["bfloat16", "float16", "mixed and averaged"],
)
def test_an_epoch_of_two_steps(changed: dict[str, Any], dtype: torch.dtype, waits: list[str]) -> None:
    recipe = settings(batch_size=4, label_smoothing=0.1, auxiliary_weight=0.4, **changed)
    torch.manual_seed(0)
    network = GenasNetwork(
        zoo_genotype("darts_v2_c10"), 2, 3, 3, stem="cifar", auxiliary=True, drop_path_rate=recipe.drop_path
    )
    seen: set[torch.dtype] = set()

    def look(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.add(output.dtype)

    with fake_cuda() as gpu:
        training = Training(network.to("cuda"), recipe)
        network.classifier.register_forward_hook(look)
        assert training.epoch(small_pictures(8), 0, 0) == 1
    assert (seen, gpu.waits) == ({dtype}, waits)
    assert all(parameter.is_cuda for parameter in training.evaluated.parameters())


def test_an_evaluation_waits_once_a_batch(tmp_path: Path) -> None:
    path = write_network(tmp_path / "weights.safetensors", Preprocessing(16, (0.5,) * 3, (0.25,) * 3), 3, "cifar")
    with fake_cuda() as gpu:
        logits, labels = logits_of(load_network(path, "cuda"), small_pictures(10), 4)
    assert (logits.shape, len(labels)) == ((10, 3), 10)
    assert gpu.waits == ["pipeline/retrain/evaluation.py:logits_of"] * 3

"""Shifted sets, detector and segmenter on a GPU, without one: as far as a pass forward goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from genas.pipeline.data import stage as data
from genas.pipeline.transfer import curvature, shift
from genas.pipeline.transfer.detect import config as detect
from genas.pipeline.transfer.segment import config as segment
from tests.conftest import Tiny
from tests.fake_cuda import fake_cuda
from tests.networks import write_network
from tests.pipeline.transfer import test_detect, test_segment

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),
    pytest.mark.filterwarnings("ignore:Fail to import:UserWarning"),
    pytest.mark.filterwarnings("ignore:Default ``avg_non_ignore``:UserWarning"),
]


def test_shifted_sets_wait_once_a_batch(tiny: Tiny) -> None:
    data.run(tiny.context("data", dataset="small_shift"))
    checkpoint = tiny.root / "out/retrain/found/weights.safetensors"
    write_network(checkpoint, test_detect.PIXELS, 3, classes=("zero", "one", "two"))
    tiny.change("shift", batch_size=1000)
    with fake_cuda() as gpu:
        metrics = shift.run(tiny.context("shift", row="found"))
    assert metrics["top5"] == 100
    assert gpu.waits == ["pipeline/retrain/evaluation.py:logits_of"] * 4  # validation, V2, A and O


def test_noise_on_weights_waits_once_a_batch(tiny: Tiny) -> None:
    """Without noise, and for two draws of two sigmas; the noise itself is made on the CPU and sent."""
    checkpoint = tiny.root / "out/retrain/found/weights.safetensors"
    write_network(checkpoint, test_detect.PIXELS, 3, classes=("zero", "one", "two"))
    tiny.change("curvature", batch_size=1000)
    with fake_cuda() as gpu:
        curvature.run(tiny.context("curvature", row="found"))
    assert gpu.waits == ["pipeline/retrain/evaluation.py:logits_of"] * 5


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_network(tmp_path / "weights.safetensors", test_detect.PIXELS, 3)


@pytest.mark.slow
def test_the_detectors_maps_do_not_wait(checkpoint: Path) -> None:
    """Backbone, pyramid, heads and anchors; the loss picks anchors by their number, which a fake has not."""
    setting = detect.Setting(checkpoint, "train", "val", 3, torch.device("cuda"))
    with fake_cuda() as gpu:
        model = build_model(detect.configure(test_detect.parameters(overrides=test_detect.SMALL), setting))
        assert all(tensor.is_cuda for tensor in model.state_dict().values())
        features = model.backbone(torch.zeros(2, 3, 64, 64, device="cuda"))
        maps = [features[name] for name in model.head_in_features]
        classes, boxes = model.head(maps)
        outputs = [*model.anchor_generator(maps), *classes, *boxes]
    assert gpu.waits == []
    assert len(outputs) == 15


@pytest.mark.slow
def test_the_segmenters_maps_do_not_wait(tmp_path: Path, checkpoint: Path) -> None:
    place = torch.device("cuda"), tmp_path / "work"
    setting = segment.Setting(checkpoint, tmp_path, "cityscapes", test_segment.CITYSCAPES_CLASSES, *place)
    cfg = segment.configure(test_segment.parameters(**test_segment.SMALL), setting)
    register_all_modules(init_default_scope=False)
    with fake_cuda() as gpu:
        model = revert_sync_batchnorm(MODELS.build({**cfg.model, "_scope_": "mmseg"})).to("cuda").train()
        maps = model.extract_feat(torch.zeros(2, 3, 64, 64, device="cuda"))
        logits = [head(maps) for head in (model.decode_head, model.auxiliary_head)]
    assert gpu.waits == []
    assert [tuple(each.shape) for each in logits] == [(2, 19, 8, 8)] * 2
    assert all(each.is_cuda for each in logits)

"""The Detectron2 backbone: the same features as the network's, frozen as Detectron2 freezes a ResNet, its pyramid."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import build_backbone
from detectron2.modeling.backbone.fpn import build_retinanet_resnet_fpn_backbone
from torch import nn

from genas.models.errors import GenasError
from genas.models.networks.detectron2 import BUILDER, GenasBackbone, add_genas_config
from genas.models.networks.files.checkpoint import Preprocessing, load_backbone
from tests.networks import write_network

ALL = ("res2", "res3", "res4", "res5")
PIXELS = Preprocessing(64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "weights.safetensors", PIXELS, 5, worn=True)


def config(checkpoint: Path) -> CfgNode:
    cfg = get_cfg()
    add_genas_config(cfg)
    cfg.MODEL.BACKBONE.NAME = BUILDER
    cfg.MODEL.GENAS.CHECKPOINT = str(checkpoint)
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 8
    return cfg


def test_features_are_the_networks(checkpoint: Path) -> None:
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    backbone = GenasBackbone(checkpoint, ALL, freeze_at=0).train()
    expected = load_backbone(checkpoint).eval()(x)
    found = backbone(x)
    assert list(found) == list(ALL)
    for name, reference in zip(ALL, expected, strict=True):
        shape = backbone.output_shape()[name]
        assert found[name].shape == (2, shape.channels, 64 // shape.stride, 96 // shape.stride)
        torch.testing.assert_close(found[name], reference, rtol=1e-4, atol=1e-5)
    assert [backbone.output_shape()[name].stride for name in ALL] == [4, 8, 16, 32]


def test_only_the_asked_features_are_given(checkpoint: Path) -> None:
    backbone = GenasBackbone(checkpoint, ("res3", "res5"), freeze_at=2)
    assert list(backbone(torch.zeros(1, 3, 32, 32))) == list(backbone.output_shape()) == ["res3", "res5"]


def test_batch_norm_is_constant(checkpoint: Path) -> None:
    backbone = GenasBackbone(checkpoint, ALL, freeze_at=0).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    kinds = {type(module) for module in backbone.modules()}
    assert FrozenBatchNorm2d in kinds
    assert nn.BatchNorm2d not in kinds


@pytest.mark.parametrize(
    ("freeze_at", "frozen"),
    [
        (0, ()),
        (1, ("stem0.0.",)),
        (2, ("stem0.",)),
        (3, ("stem0.", "stem1.", "cells.0.")),
        (4, ("stem0.", "stem1.", "cells.0.", "cells.1.", "cells.2.")),
        (5, ("stem0.", "stem1.", "cells.")),
    ],
)
def test_freezing_follows_the_stride(checkpoint: Path, freeze_at: int, frozen: tuple[str, ...]) -> None:
    backbone = GenasBackbone(checkpoint, ALL, freeze_at)
    maps = backbone(torch.randn(1, 3, 64, 64))
    if freeze_at < 5:
        sum(value.sum() for value in maps.values() if value.requires_grad).backward()
    for name, parameter in backbone.features.model.named_parameters():
        assert (parameter.grad is None) == name.startswith(frozen), name


def test_pyramid_is_the_frameworks(checkpoint: Path) -> None:
    """Same modules, names and shapes as over a ResNet, up to the channels of the maps below."""
    cfg = config(checkpoint)
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3", "res4", "res5"]
    ours = build_backbone(cfg)
    theirs = build_retinanet_resnet_fpn_backbone(cfg, ShapeSpec(channels=3))
    top = ours.bottom_up.output_shape()["res5"].channels

    def shapes(pyramid: nn.Module) -> dict[str, torch.Size]:
        return {n: p.shape for n, p in pyramid.named_parameters() if not n.startswith("bottom_up.")}

    found, reference = shapes(ours), shapes(theirs)
    assert found.keys() == reference.keys()
    fed_by_bottom_up = {"fpn_lateral3.weight", "fpn_lateral4.weight", "fpn_lateral5.weight", "top_block.p6.weight"}
    assert {name for name in found if found[name] != reference[name]} == fed_by_bottom_up
    assert found["top_block.p6.weight"] == (8, top, 3, 3)
    assert ours.output_shape() == theirs.output_shape()
    assert ours.size_divisibility == theirs.size_divisibility == 32
    maps = ours(torch.randn(1, 3, 64, 96))
    assert {n: tuple(m.shape[-2:]) for n, m in maps.items()} == {
        "p3": (8, 12), "p4": (4, 6), "p5": (2, 3), "p6": (1, 2), "p7": (1, 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("MODEL.BACKBONE.FREEZE_AT", 6, "FREEZE_AT: 6 is not in 0..5"),
        (
            "MODEL.FPN.IN_FEATURES",
            ["res3", "c4"],
            "IN_FEATURES: ['res3', 'c4'], expected some of res2, res3, res4, res5",
        ),
        ("MODEL.FPN.IN_FEATURES", ["res3", "res4"], "without res5"),
        ("MODEL.GENAS.CHECKPOINT", "nowhere.safetensors", "nowhere.safetensors: no such weights file"),
    ],
)
def test_wrong_configuration_is_one_line(checkpoint: Path, key: str, value: object, message: str) -> None:
    cfg = config(checkpoint)
    cfg.merge_from_list([key, value])
    with pytest.raises(GenasError) as error:
        build_backbone(cfg)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cifar_network_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "cifar.safetensors", PIXELS, 5, stem="cifar", worn=True)
    with pytest.raises(GenasError, match=r"cifar\.safetensors: trained with the cifar stem"):
        GenasBackbone(path, ALL, 2)

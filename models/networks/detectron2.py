"""A retrained network as the backbone of Detectron2's RetinaNet.

Importing this module registers ``build_retinanet_genas_fpn_backbone``, which does for a network file what the
framework's own ``build_retinanet_resnet_fpn_backbone`` does for a ResNet: a feature pyramid over strides 8, 16 and
32, with P6 and P7 made from the deepest map. The maps keep the names that Detectron2 gives to a ResNet's at the same
strides, ``res3``, ``res4`` and ``res5``, so every list of features in its configurations fits unchanged.
"""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import load_backbone
from genas.models.spaces.darts.network import GenasNetwork

BUILDER = "build_retinanet_genas_fpn_backbone"
STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}
"""Detectron2's names for the maps at these strides."""


def add_genas_config(cfg: CfgNode) -> None:
    """Add this backbone's own node: ``MODEL.GENAS.CHECKPOINT``, the path of the network file."""
    cfg.MODEL.GENAS = CfgNode({"CHECKPOINT": ""})


def freeze(network: GenasNetwork, freeze_at: int) -> None:
    """Stop training whatever works at a stride of at most ``2 ** freeze_at``; 0 freezes nothing.

    This is what ``MODEL.BACKBONE.FREEZE_AT`` means for a ResNet, whose stage ``res<k>`` has stride ``2 ** k``:
    1 freezes the first convolution, 2 (the default) all of ``stem0``, 3 also ``stem1`` and the cells before the
    first reduction, and so on.

    Raises:
        GenasError: not in 0..5.
    """
    if not 0 <= freeze_at <= 5:
        raise GenasError(f"MODEL.BACKBONE.FREEZE_AT: {freeze_at} is not in 0..5")
    frozen: list[nn.Module] = [network.stem0[:2]] if freeze_at == 1 else []
    begin = 0
    for info in network.feature_info:
        if info["reduction"] > 2**freeze_at:
            break
        if info["module"] == "stem0":
            frozen.append(network.stem0)
            continue
        end = int(str(info["module"]).removeprefix("cells.")) + 1
        frozen += [network.stem1, *network.cells[begin:end]]
        begin = end
    for module in frozen:
        module.requires_grad_(False)


class GenasBackbone(Backbone):
    """A network file's feature maps, by Detectron2's names.

    BatchNorm is frozen, as Detectron2 does by default for a ResNet (``MODEL.RESNETS.NORM: FrozenBN``): its statistics
    and its affine parameters are constants. The maps are the plain outputs of cells, without a ReLU behind them.

    Args:
        checkpoint: a network file with the ``imagenet`` stem.
        out_features: which of ``res2`` (stride 4) to ``res5`` (stride 32) a call returns.
        freeze_at: how much of the network is not trained, see :func:`freeze`.

    Raises:
        GenasError: as ``load_backbone`` and :func:`freeze`, and for an unknown feature.
    """

    def __init__(self, checkpoint: Path, out_features: tuple[str, ...], freeze_at: int) -> None:
        super().__init__()
        if not set(out_features) <= set(STRIDES):
            raise GenasError(f"MODEL.FPN.IN_FEATURES: {list(out_features)}, expected some of {', '.join(STRIDES)}")
        self.features = FrozenBatchNorm2d.convert_frozen_batchnorm(load_backbone(checkpoint))
        freeze(self.features.model, freeze_at)
        info = self.features.feature_info
        self._out_features = list(out_features)
        self._out_feature_strides = dict(zip(STRIDES, info.reduction(), strict=True))
        self._out_feature_channels = dict(zip(STRIDES, info.channels(), strict=True))
        assert self._out_feature_strides == STRIDES

    @property
    def size_divisibility(self) -> int:
        """Images are padded to multiples of 32 pixels, the largest stride."""
        return 32

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """From images (N, 3, H, W) to maps (N, C, H / stride, W / stride) by name."""
        maps = dict(zip(STRIDES, self.features(x), strict=True))
        return {name: maps[name] for name in self._out_features}


@BACKBONE_REGISTRY.register()
def build_retinanet_genas_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """The pyramid P3 to P7 of RetinaNet over ``MODEL.GENAS.CHECKPOINT``, otherwise configured by ``MODEL.FPN``.

    Raises:
        GenasError: as :class:`GenasBackbone`.
    """
    names, channels = tuple(cfg.MODEL.FPN.IN_FEATURES), cfg.MODEL.FPN.OUT_CHANNELS
    bottom_up = GenasBackbone(Path(cfg.MODEL.GENAS.CHECKPOINT), names, cfg.MODEL.BACKBONE.FREEZE_AT)
    if "res5" not in names:
        raise GenasError(f"MODEL.FPN.IN_FEATURES: {list(names)} is without res5, from which P6 and P7 are made")
    deepest = bottom_up.output_shape()["res5"].channels
    return FPN(
        bottom_up=bottom_up,
        in_features=names,
        out_channels=channels,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelP6P7(deepest, channels),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )

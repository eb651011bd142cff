"""The network as a backbone of MMSegmentation: importing this module registers ``GenasBackbone``.

Only the adapter is here; the maps come from :func:`genas.models.networks.files.checkpoint.load_backbone`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from genas.models.errors import GenasError
from genas.models.networks.files.checkpoint import load_backbone


@MODELS.register_module()
class GenasBackbone(BaseModule):
    """Four maps of a trained network, for heads that say ``in_index``.

    Args:
        checkpoint: a network file with the ``imagenet`` stem.
        output_stride: 8, 16 or 32; with 8 the maps have strides 4, 8, 8, 8, like MMSegmentation's ``r50-d8``.
        norm_cfg: ``{"type": "BN"}``, or ``SyncBN`` to synchronise BatchNorm over processes (as in MMSegmentation's
            ResNet); MMEngine turns the latter back where there is one process.
        norm_eval: keep BatchNorm's statistics as they were trained (as in MMSegmentation's ResNet).
        with_cp: recompute activations in the backward pass to save memory (as in MMSegmentation's ResNet).

    Raises:
        GenasError: as :func:`genas.models.networks.files.checkpoint.load_backbone`, and another normalisation.
    """

    def __init__(
        self,
        checkpoint: str,
        output_stride: int = 8,
        norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        norm = {"type": "BN", "requires_grad": True, **(norm_cfg or {})}
        if norm.keys() != {"type", "requires_grad"} or norm["type"] not in ("BN", "SyncBN"):
            raise GenasError(f"model.backbone.norm_cfg: {norm}, expected type BN or SyncBN, and requires_grad")
        self.body: Any = load_backbone(Path(checkpoint), output_stride)
        if norm["type"] == "SyncBN":
            self.body = nn.SyncBatchNorm.convert_sync_batchnorm(self.body)
        for module in self._norms():
            module.requires_grad_(norm["requires_grad"])
        self.channels: tuple[int, ...] = tuple(self.body.feature_info.channels())
        self.norm_eval = norm_eval
        if with_cp:
            self.body.model.set_grad_checkpointing()

    def init_weights(self) -> None:
        """Nothing to do: the weights are those of the file."""

    def train(self, mode: bool = True) -> GenasBackbone:
        """Training mode, save for BatchNorm under ``norm_eval``."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self._norms():
                module.eval()
        return self

    def _norms(self) -> Iterator[nn.Module]:
        return (module for module in self.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W), normalised, to the four maps, finest first."""
        if x.device.type == "cpu":  # pooling and separable convolutions run 1.5 times as fast
            x = x.contiguous(memory_format=torch.channels_last)
        return tuple(self.body(x))

"""The auxiliary classifier of a stand-alone network (retrain_architecture/model.py of the official code)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class AuxiliaryHead(nn.Module):
    """The auxiliary classifier behind the second reduction (training only).

    Made for 7x7 maps (224-pixel images, pooling stride 2) and 8x8 maps (32-pixel images, stride 3); other sizes
    are pooled adaptively to the same 2x2.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) for a cell's output (N, in_channels, H, W)."""
        x = F.relu(x)
        size = tuple(x.shape[-2:])
        if size in ((7, 7), (8, 8)):
            x = F.avg_pool2d(x, 5, stride=size[0] - 5, count_include_pad=False)
        else:
            x = F.adaptive_avg_pool2d(x, 2)
        return self.classifier(self.features(x).flatten(1))

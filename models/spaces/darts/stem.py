"""What comes before the cells, whoever builds it (official retrain_architecture/model.py)."""

from __future__ import annotations

from torch import nn


def imagenet_stems(in_chans: int, width: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Three convolutions of stride 2, of width / 2, width and width channels: to stride 4, and on to stride 8."""
    first = nn.Sequential(
        nn.Conv2d(in_chans, width // 2, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width // 2),
        nn.ReLU(),
        nn.Conv2d(width // 2, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
    )
    return first, nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))


def cifar_stem(in_chans: int, width: int) -> nn.Sequential:
    """A convolution to three times the width, which keeps the resolution."""
    return nn.Sequential(nn.Conv2d(in_chans, 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width))

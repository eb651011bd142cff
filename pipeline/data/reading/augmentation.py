"""Random crops and flips of whole batches, where the images are: no image is handled alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.config import TrainingParams


class Augmentation(NamedTuple):
    """Random crops after zero padding, and flips: for each of n images its top and left (n,) and whether (n,)."""

    padding: int
    top: Tensor
    left: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, images: Tensor, params: TrainingParams, generator: torch.Generator) -> Augmentation:
        """For images (N, C, H, W) at once, on their device."""
        count, device, padding = len(images), images.device, round(params.crop_padding * images.shape[2])
        top, left = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).to(device)
        mirrored = torch.rand(count, generator=generator).to(device) < (0.5 if params.flip else 0.0)
        return cls(padding, top, left, mirrored)

    def of(self, part: slice) -> Augmentation:
        """For some of the images."""
        return Augmentation(self.padding, self.top[part], self.left[part], self.mirrored[part])

    def __call__(self, images: Tensor) -> Tensor:
        """The batch (n, C, H, W), each image cropped and flipped its own way; its layout in memory stays."""
        n, _, height, width = images.shape
        dense = images.is_contiguous()
        rows = self.top[:, None] + torch.arange(height, device=images.device)
        columns = torch.arange(width, device=images.device).expand(n, width)
        columns = self.left[:, None] + torch.where(self.mirrored[:, None], columns.flip(1), columns)
        index = torch.arange(n, device=images.device)[:, None, None]
        padded = F.pad(images, [self.padding] * 4).permute(0, 2, 3, 1)
        images = padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return images.contiguous() if dense else images.contiguous(memory_format=torch.channels_last)

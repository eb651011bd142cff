"""The images of a supernet that stay in their files: read, cropped and augmented as when networks are retrained.

Only the few that a probe looks at are decoded into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import current_process
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genas.pipeline.data.reading.images import Pictures, Transform
from genas.pipeline.data.reading.inputs.seeded import Seeded, state_of

DECODED = 32
"""Images that a worker decodes at a time, of those that are kept in memory."""


@dataclass(frozen=True)
class Chosen(Dataset[tuple[Tensor, int]]):
    """Some pictures, by their numbers ``rows`` (n,), with ``labels`` (n,) and a transform of their own."""

    pictures: Pictures
    rows: np.ndarray
    labels: np.ndarray
    transform: Transform

    @classmethod
    def of(cls, pictures: Pictures, rows: np.ndarray, transform: Transform) -> Chosen:
        """With the labels that the pictures have."""
        labels = np.array([pictures.label(int(row)) for row in rows], dtype=np.int64)
        return cls(pictures, rows, labels, transform)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures.picture(int(self.rows[index]))), int(self.labels[index])


@dataclass(frozen=True)
class Stream:
    """The training half, an epoch after the other.

    Attributes:
        source: its images as they are augmented, and their labels.
        workers: processes that decode beside the training, or 0.
        device, layout: where a batch goes, and how it lies in memory.
    """

    source: Chosen
    workers: int
    device: torch.device
    layout: torch.memory_format

    def relabelled(self, labels: np.ndarray) -> Stream:
        """The same images with other labels (n,)."""
        return replace(self, source=replace(self.source, labels=labels))

    def batches(self, steps: Sequence[Sequence[int]], seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (n, 3, H, W) and labels (n,) of each step, which names its images by their numbers in the half.

        Raises:
            GenasError: an image cannot be read.
        """
        for images, labels in self._loader(Seeded(self.source, seed, epoch), steps, state_of(seed, 8, epoch)):
            yield (
                images.to(self.device, memory_format=self.layout, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )

    def augmented(self, count: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """The first ``count`` images (count, 3, H, W) as an epoch would have them, and their labels (count,)."""
        return self._kept(Seeded(self.source, seed, epoch), min(count, len(self.source)))

    def plain(self, pictures: Pictures, rows: np.ndarray, transform: Transform) -> tuple[Tensor, Tensor]:
        """Some pictures of this or the other half under another transform, and their labels."""
        return self._kept(Chosen.of(pictures, rows, transform), len(rows))

    def _kept(self, source: Dataset[tuple[Tensor, int]], count: int) -> tuple[Tensor, Tensor]:
        images, labels = torch.empty(0, device=self.device), torch.empty(count, dtype=torch.int64, device=self.device)
        steps = [range(start, min(start + DECODED, count)) for start in range(0, count, DECODED)]
        for step, (some, classes) in zip(steps, self._loader(source, steps, 0), strict=True):
            if not step.start:
                images = torch.empty((count, *some.shape[1:]), device=self.device, memory_format=self.layout)
            images[step.start : step.stop], labels[step.start : step.stop] = some, classes
        return images, labels

    def _loader(
        self, source: Dataset[tuple[Tensor, int]], steps: Sequence[Sequence[int]], seed: int
    ) -> DataLoader[Any]:
        return DataLoader(
            source,
            batch_sampler=steps,  # type: ignore[arg-type]  # a list of lists of numbers
            num_workers=0 if current_process().daemon else self.workers,  # some may have no children
            generator=torch.Generator().manual_seed(seed),
            pin_memory=self.device.type == "cuda",
        )

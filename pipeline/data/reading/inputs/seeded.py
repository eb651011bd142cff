"""Augmentation as a pure function of (seed, epoch, image): any number of workers, and a run taken up after a kill, give
the same bytes."""

from __future__ import annotations

import random
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset


class Source(Protocol):
    """Images and classes by number, augmented from the generators of torch, numpy and Python."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, int]: ...


def state_of(*key: int) -> int:
    """A seed for a generator from the numbers that it may depend on."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def seed_everything(state: int) -> None:
    """Seed every generator that augmentations draw from."""
    random.seed(state)
    np.random.seed(state)
    torch.manual_seed(state)


class Seeded(Dataset[tuple[Tensor, int]]):
    """A data set whose augmentation of image i in an epoch is a pure function of (seed, epoch, i)."""

    def __init__(self, source: Source, seed: int, epoch: int) -> None:
        self.source, self.key = source, (seed, epoch)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        seed_everything(state_of(*self.key, int(index)))
        return self.source[index]

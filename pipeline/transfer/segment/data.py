"""Street scenes for MMSegmentation: one reader for Cityscapes and its lookalikes, one sampler that can start anyplaces.

Importing this module registers ``SceneDataset`` and ``ResumableSampler``. Every training sample, its augmentation
included, is a pure function of (seed, position in the stream), so a run that starts at a later position sees exactly
what an unbroken run would have seen there, whatever the number of worker processes.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import random
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Sampler

from genas.pipeline.data.reading.scenes import find_scenes

with contextlib.redirect_stdout(io.StringIO()):  # the fork prints that an optional package of its own is missing
    from mmseg.datasets import BaseSegDataset, CityscapesDataset

CITYSCAPES_CLASSES: tuple[str, ...] = tuple(CityscapesDataset.METAINFO["classes"])


def seed_of(*parts: int) -> int:
    """A 32-bit seed that depends on every part and looks unrelated for neighbours."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


class Draw(NamedTuple):
    """What the sampler asks for: an image and the seed of its augmentation."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    seed: int


@DATASETS.register_module()
class SceneDataset(BaseSegDataset):
    """A split of a data set in one of :data:`genas.pipeline.data.reading.scenes.LAYOUTS`; ``metainfo`` brings the
    classes.

    Indexed by an int as usual, or by a :class:`Draw`, which seeds the random transforms first.
    """

    def __init__(self, layout: str, split: str, **kwargs: Any) -> None:
        self.layout, self.split = layout, split
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One record a scene. ``label_map`` has MMSegmentation's own loader change the ids."""
        return [
            {
                "img_path": str(scene.image),
                "seg_map_path": str(scene.label),
                "label_map": scene.changes or None,
                "reduce_zero_label": False,
                "seg_fields": [],
            }
            for scene in find_scenes(Path(self.data_root), self.layout, self.split)
        ]

    def __getitem__(self, key: int | Draw) -> dict[str, Any]:
        if isinstance(key, Draw):
            random.seed(key.seed)
            np.random.seed(key.seed)
            torch.manual_seed(key.seed)
            key = key.index
        return super().__getitem__(key)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler[Draw]):
    """One shuffled pass over the data after another, without end; any place in the stream is reached at once.

    Position p is image p mod n of pass p div n; process r of w takes positions r, r + w, r + 2w, ... MMEngine's
    ``IterBasedTrainLoop`` calls :meth:`skip` when it resumes. A loop that does not know it (MMEngine up to 0.10.7)
    advances by iterating instead, which ends at the same place.
    """

    def __init__(self, dataset: Sized, seed: int, shuffle: bool = True) -> None:
        self.rank, self.world = get_dist_info()
        self.size, self.seed, self.shuffle, self.skipped = len(dataset), seed, shuffle, 0

    def skip(self, samples: int) -> None:
        """Start behind the first ``samples`` samples of this process, counted from the stream's beginning."""
        self.skipped = samples

    def __iter__(self) -> Iterator[Draw]:
        shuffled, order = -1, np.arange(self.size)
        for position in itertools.count(self.rank + self.skipped * self.world, self.world):
            number, place = divmod(position, self.size)
            if self.shuffle and number != shuffled:
                shuffled, order = number, np.random.default_rng((self.seed, number)).permutation(self.size)
            yield Draw(int(order[place]), seed_of(self.seed, position))

    def __len__(self) -> int:
        return self.size

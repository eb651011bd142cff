"""How one-shot networks are trained, in the DARTS space and in that of NAS-Bench-201."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from genas.pipeline.config.base import Count, Fraction, Positive, Section, Several
from genas.pipeline.config.pixels import StreamParams


class TrainingParams(Section):
    """How a one-shot network is trained, whatever its space (official train_supernet; the defaults of the paper profile
    have their sources there).

    ``trainer``: ``plain`` leaves gradients and steps to the framework, ``fast`` finds the same, to float tolerance, in
    less time (:mod:`genas.models.fast.gradients`, :mod:`genas.pipeline.supernet.one_vector`).

    ``split``: which images train and which are held out for the search (:mod:`genas.pipeline.data.reading.splits`):
    ``random``, drawn by the row's seed; the ``first`` ones train, whatever the seed; ``file``, the data set's own.
    The former two take ``train_share`` of the training images to train on.

    ``schedule`` leads from ``learning_rate`` to ``learning_rate_min``, anew for each epoch or each step (``update``).
    ``decay``: weight decay on ``all`` parameters, or on those of more than one dimension (``weights``). Operations that
    a step has not selected go on to ``decay`` and to move by their momentum, from the first step on or, as in the
    official code, each from its ``first`` selection on; or they ``freeze``. Gradients are clipped by the ``clip_norm``
    of all together or by ``clip_value`` each, or not at all.

    Images lie in memory, decoded and shrunk, and are cropped by ``crop_padding``; or they are ``streamed`` from their
    files epoch after epoch, cropped as when networks are retrained, and ``crop_padding`` is 0.
    """

    trainer: Literal["plain", "fast"]
    split: Literal["random", "first", "file"]
    train_share: Annotated[float, Field(gt=0, lt=1)] | None
    epochs: Count
    batch_size: Annotated[int, Field(ge=2, description="BatchNorm needs two images")]
    learning_rate: Positive
    learning_rate_min: Annotated[float, Field(ge=0)]
    schedule: Literal["cosine", "linear"]
    update: Literal["epoch", "step"]
    momentum: Fraction
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0)]
    decay: Literal["all", "weights"]
    clip_norm: Positive | None
    clip_value: Positive | None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    unselected: Literal["decay", "first", "freeze"]
    labels: Literal["ground_truth", "random"]
    amp: bool
    channels_last: bool
    crop_padding: Annotated[float, Field(ge=0, le=1, description="share of an image's side: 0.125 is 4 of 32 pixels")]
    flip: bool
    streamed: StreamParams | None
    validate_every: Count
    validate_paths: Count
    validate_images: Count

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.split == "file") != (self.train_share is None):
            raise ValueError(
                f"train_share {'says nothing' if self.split == 'file' else 'is missing'} with {self.split}"
            )
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("clip_norm and clip_value exclude each other")
        if self.unselected == "first" and self.trainer == "fast":
            raise ValueError("unselected: first needs trainer plain, the fast one has all parameters in one vector")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum")
        if self.streamed is not None and self.crop_padding:
            raise ValueError("crop_padding: 0 with streamed, whose crops follow crop_scale_min")
        return self


class SupernetParams(TrainingParams):
    """The supernet of the DARTS space: C of the first cell, its cells, and the ``stem`` before them: that for ``cifar``
    keeps the resolution, that for ``imagenet`` takes an eighth of it."""

    channels: Count
    layers: Annotated[int, Field(ge=3)]
    stem: Literal["cifar", "imagenet"]

    @model_validator(mode="after")
    def _stem_fits(self) -> Self:
        if self.stem == "imagenet" and self.channels % 2:
            raise ValueError(f"channels: {self.channels}, expected an even number, which the stem of imagenet halves")
        return self


class Supernet201Params(TrainingParams):
    """The supernet of NAS-Bench-201: channels of the first stage and cells in each.

    ``sampling``: every path drawn ``uniform``; ``fair``, in rounds of five in which each operation of each edge is
    trained once (Chu et al., FairNAS, 2021, whose five gradients are summed to one step, here a step each); or
    ``balanced``, as many paths of few convolutions in a row as of many.
    ``affine``: whether BatchNorm has weights in the searched cells; RLNAS's has none there. ``snapshots``: after how
    many epochs weights are kept beside those of the end, to be measured as they are.
    """

    channels: Count
    cells: Count
    sampling: Literal["uniform", "fair", "balanced"]
    affine: bool
    snapshots: Several[Count]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted({*self.snapshots, self.epochs}) != [*self.snapshots, self.epochs]:
            raise ValueError(f"snapshots: epochs before the last ({self.epochs}), each once, in their order")
        return self

"""How networks are retrained, and what becomes of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from genas.pipeline.config.base import Count, Fraction, NotNegative, Positive, Section, Seed, Several, below
from genas.pipeline.config.pixels import PixelParams
from genas.pipeline.config.search import require_increasing

Base = Annotated[str, AfterValidator(lambda path: below(path, "the framework's configurations"))]
"""A configuration that a framework ships, by its path among them; reading one runs it."""


class RetrainParams(Section):
    """Stand-alone training, whatever the row: what it is trained on, how and with which seed the row says itself.

    ``workers``: processes that read images, for each process that trains; the judges of networks take as many.
    """

    workers: NotNegative


class RecipeParams(PixelParams):
    """How a network is trained (official retrain_architecture, or another).

    ``batch_size`` is that of a step, however many processes share it and in however many parts (``accumulate``) each
    takes it. BatchNorm sees one part; of all processes with ``sync_batchnorm``, else of its own.

    ``optimizer``: a name of timm's (``momentum`` is SGD without Nesterov's). ``decay``: weight decay on ``all``
    parameters, or on the ``weights`` of convolutions and of the classifier only. ``warmup_to``: the ``full`` rate, or
    what a linear ``schedule`` has ``decayed`` it to, as in the official code. ``ema_decay``: of the moving average of
    the weights, which is then what is validated and kept; 0 for none. ``keep``: the weights of the last epoch, or of
    the first with the best top-1.
    """

    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Count
    sync_batchnorm: bool
    precision: Literal["float32", "bfloat16", "float16"]
    optimizer: str
    learning_rate: Positive
    schedule: Literal["linear", "cosine"]
    warmup_epochs: NotNegative
    warmup_to: Literal["full", "decayed"]
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    decay: Literal["all", "weights"]
    clip_norm: Positive | None
    label_smoothing: Fraction
    auxiliary_weight: Annotated[float, Field(ge=0)]
    drop_path: Annotated[float, Field(ge=0, lt=1)]
    flip: bool
    mixup: Annotated[float, Field(ge=0)]
    cutmix: Annotated[float, Field(ge=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    keep: Literal["last", "best"]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.schedule == "linear" and self.epochs <= 5:
            raise ValueError("the linear schedule has a slope of its own in the last 5 epochs; epochs must exceed 5")
        if self.warmup_to == "decayed" and self.schedule != "linear":
            raise ValueError("warmup_to decayed needs schedule linear: the cosine begins behind the warm-up")
        if self.batch_size < 2 * self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} in {self.accumulate} parts: a part has at least 2 images")
        return self


class ShiftParams(Section):
    """Evaluation under distribution shift: on ``dataset``, beside the validation images of ``trained_on``, the data set
    of all rows that are judged."""

    dataset: str
    trained_on: str
    batch_size: Count


class CurvatureParams(Section):
    """The loss of a retrained network under noise on all of its weights (Figure 3).

    ``sigma``: standard deviations of the noise, 0 first, each drawn ``draws`` times from ``seed``; at most ``images``
    validation images of ``trained_on``, evenly spaced, are looked at, which all rows that are judged were trained on.
    ``alpha`` weighs the depth term of the curve's flatness (Eq. 4).
    """

    trained_on: str
    sigma: Annotated[Several[Annotated[float, Field(ge=0)]], Field(min_length=3)]
    alpha: Annotated[float, Field(ge=0)]
    draws: Count
    seed: Seed
    images: Count
    batch_size: Count

    @model_validator(mode="after")
    def _from_zero_on(self) -> Self:
        if self.sigma[0] != 0:
            raise ValueError(f"sigma must begin with 0, got {list(self.sigma)}")
        require_increasing(self.sigma)
        return self


class DetectParams(Section):
    """RetinaNet: Detectron2's own configuration plus ``overrides`` in Detectron2's own keys (paper: none).
    ``categories``: those of the data set's that are learned and evaluated, by name; null for all."""

    dataset: str
    categories: Annotated[Several[str], Field(min_length=1)] | None
    seed: Seed
    base: Base
    overrides: dict[str, Any]
    checkpoint_period: Count


class SegmentParams(Section):
    """DeepLab-v3: MMSegmentation's own configuration plus ``overrides`` in its own dotted keys (paper: none)."""

    dataset: str
    seed: Seed
    base: Base
    overrides: dict[str, Any]
    checkpoint_period: Count

"""How pictures of any size become network input."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from genas.pipeline.config.base import Fraction, NotNegative, Section


class PixelParams(Section):
    """Crops, colours and normalisation of pictures that are read one by one.

    ``preprocessing``: ``timm``, or ``official`` (square crop, PCA lighting, OpenCV), which knows none of
    ``color_jitter``, ``auto_augment`` and ``random_erasing``, or ``released``, the same with the slips of the released
    code. Training crops a share of the picture's area from ``crop_scale_min`` to 1; evaluation brings the shorter side
    to the size by ``crop_pct`` and takes the centre. ``normalise``: by the ``dataset``'s mean and deviation, or not.
    """

    preprocessing: Literal["timm", "official", "released"]
    crop_scale_min: Annotated[float, Field(gt=0, le=1)]
    color_jitter: Fraction
    auto_augment: str | None
    random_erasing: Fraction
    normalise: Literal["dataset", "none"]
    interpolation: Literal["bilinear", "bicubic"]
    crop_pct: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _official_has_less(self) -> Self:
        if self.preprocessing != "timm":
            if self.color_jitter or self.auto_augment or self.random_erasing:
                raise ValueError(
                    f"the {self.preprocessing} preprocessing has no color_jitter, auto_augment or random_erasing"
                )
            if self.interpolation != "bilinear":
                raise ValueError(f"the {self.preprocessing} preprocessing is bilinear")
        return self

    @property
    def resize(self) -> str:
        """The library that resizes: ``opencv`` or ``pillow``."""
        return "pillow" if self.preprocessing == "timm" else "opencv"


class StreamParams(PixelParams):
    """Pictures of a supernet that stay in their files; ``workers`` processes decode them beside the training, or 0."""

    workers: NotNegative

"""What every section of ``params.yaml`` is: a frozen model, so that a wrong key or type is an error that names it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""Of data sets, rows, metrics, recipes and profiles: they become names of files, of DVC's stages and of its parameters,
in which a dot would be a step down."""
NotNegative = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A frozen part of ``params.yaml``; unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)

"""What every section of ``params.yaml`` is: a frozen model, so that a wrong key or type is an error that names it.

Nothing is coerced: a number in quotes is no number, yes is no 1, and infinity is nothing that can be computed with.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, WrapSerializer, WrapValidator

T = TypeVar("T")
Several = Annotated[tuple[T, ...], Strict(False)]
"""A list of YAML, as a tuple."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What all generators of random numbers take."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""Of data sets, rows, metrics, recipes and profiles: they become names of files, of DVC's stages and of its parameters,
in which a dot would be a step down."""


def below(path: str, folder: str = "the data root") -> str:
    """A path, if it stays below the folder that it is given for.

    Raises:
        ValueError: it is empty, absolute or leads up.
    """
    if not path or "\0" in path or PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise ValueError(f"{path!r} is not a path below {folder}")
    return path


Below = Annotated[str, AfterValidator(below)]


def _or_null(value: Any, otherwise: Any) -> Any:
    return None if value is None else otherwise(value)


OrNull = Annotated[T, WrapValidator(_or_null), WrapSerializer(_or_null)]
"""A section that may be null where no row of the profile reads it. Its type says nothing of that: what reads it runs
for a row."""


class Section(BaseModel):
    """A frozen part of ``params.yaml``; unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

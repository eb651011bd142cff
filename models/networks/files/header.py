"""The header of a network file, which comes from anybody: JSON whose every key, type and range is checked before
anything is built from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from genas.models.errors import GenasError
from genas.models.spaces.base.preprocessing import Preprocessing
from genas.models.spaces.darts.genotype import Genotype

LARGEST = 2**24
"""Characters of a header."""


@dataclass(frozen=True)
class NetworkFile:
    """What the header of a network file says."""

    genotype: Genotype
    architecture: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]


class _Checked(BaseModel):
    """JSON as it is: no other keys, nothing coerced, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Architecture(_Checked):
    width: Annotated[int, Field(ge=2, le=4096, multiple_of=2)]
    layers: Annotated[int, Field(ge=3, le=200)]
    stem: Literal["imagenet", "cifar"]
    num_classes: Annotated[int, Field(ge=0, le=10**6)]
    in_chans: Annotated[int, Field(ge=1, le=1024)]
    auxiliary: bool


_Positive = Annotated[float, Field(gt=0)]


class _Preprocessing(_Checked):
    size: Annotated[int, Field(ge=1, le=2**14)]
    mean: Annotated[tuple[float, float, float], Strict(False)]
    std: Annotated[tuple[_Positive, _Positive, _Positive], Strict(False)]
    interpolation: Literal["bilinear", "bicubic"]
    crop_pct: Annotated[float, Field(gt=0, le=1)]
    resize: Literal["pillow", "opencv"]


class _Header(_Checked):
    genotype: dict[str, Any]
    architecture: _Architecture
    preprocessing: _Preprocessing
    classes: list[str]


def parse(text: str) -> NetworkFile:
    """What a header says.

    Raises:
        GenasError: no JSON, a missing or another key, a value of another type or out of its range, no genotype; the
            message does not know the file.
    """
    if len(text) > LARGEST:
        raise GenasError(f"its header is longer than {LARGEST} characters")
    try:
        header = _Header.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise GenasError(f"{key or 'header'}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise GenasError(f"its header is no JSON ({type(error).__name__})") from None
    pixels = header.preprocessing.model_dump()
    return NetworkFile(
        Genotype.from_dict(header.genotype),
        header.architecture.model_dump(),
        Preprocessing(**pixels),
        tuple(header.classes),
    )

"""How cells follow each other in a network of the DARTS space, whoever builds it."""

from __future__ import annotations

from genas.models.errors import GenasError

STEMS = ("imagenet", "cifar")
"""To stride 8 in two steps, or to none (official retrain_architecture/model.py)."""


def is_reduction(index: int, layers: int) -> bool:
    """Whether cell ``index`` of ``layers`` halves the resolution: those at one third and at two thirds."""
    return index in (layers // 3, 2 * layers // 3)


def edge_stride(reduction: bool, source: int) -> int:
    """2 on the edges of a reduction cell that leave an input node, else 1."""
    return 2 if reduction and source < 2 else 1


def _require_even(width: int) -> None:
    if width % 2 or width < 2:
        raise GenasError(f"width {width}: the width is even, the first stem halves it")


def require_stem(width: int, stem: str) -> None:
    """Return if there is a stem of this kind before cells of this width.

    Raises:
        GenasError: an unknown stem, or an odd width, which that of ImageNet cannot halve.
    """
    if stem not in STEMS:
        raise GenasError(f"unknown stem {stem!r}, expected one of {', '.join(STEMS)}")
    if stem == "imagenet":
        _require_even(width)


def require_shape(width: int, layers: int, stem: str) -> None:
    """Return if there is a network of this shape.

    Raises:
        GenasError: an unknown stem, an odd width, or too few layers.
    """
    require_stem(width, stem)
    _require_even(width)
    if layers < 3:
        raise GenasError(f"{layers} layers: at least 3 are needed for two reductions")

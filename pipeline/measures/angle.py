"""The angle between initial and trained weights of a path, the measure of RLNAS (Zhang et al., 2021).

The weight vector of an architecture (:mod:`genas.models.spaces.base.path_vector`) has the edges of a cell as often as
paths run through them: ``fixed`` sums dot products with those counts in double precision and never builds it.
``official``, for the DARTS space alone, builds it in single precision, slip included
(:mod:`genas.models.official.vector`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from genas.models.errors import GenasError
from genas.pipeline.config import MeasureParams

if TYPE_CHECKING:
    from genas.models.spaces.base.oneshot import Architecture, OneShot
    from genas.pipeline.probe.plain import Probe


def angle(initial: OneShot[Any], trained: OneShot[Any], architecture: Architecture) -> float:
    """arccos of the cosine between the two weight vectors, in radians in [0, pi]; 0 where there is no vector."""
    dot = first = second = 0.0
    pieces = zip(initial.weighted_vectors(architecture), trained.weighted_vectors(architecture), strict=True)
    for (count, a), (_, b) in pieces:
        dot += count * float(a @ b)
        first += count * float(a @ a)
        second += count * float(b @ b)
    if not first * second:
        return 0.0
    return math.acos(max(-1.0, min(1.0, dot / math.sqrt(first * second))))


def measure(probe: Probe, architecture: Architecture) -> dict[str, float]:
    """The angle in radians; a larger angle means faster convergence.

    Raises:
        GenasError: the official version is asked for in another space than that of DARTS.
    """
    assert probe.initial is not None, "the angle compares with the initial weights"
    if probe.params.angle.version == "fixed":
        return {"angle": angle(probe.initial, probe.network, architecture)}
    from genas.models.official.vector import official_angle
    from genas.models.spaces.darts.supernet import Supernet

    if not isinstance(probe.initial, Supernet) or not isinstance(probe.network, Supernet):
        raise GenasError("angle.version official: the official code knows the DARTS space alone, choose fixed")
    return {"angle": official_angle(probe.initial, probe.network, architecture)}


def scale(params: MeasureParams) -> float:
    """1 / pi brings the angle to [0, 1]."""
    return 1.0 / math.pi

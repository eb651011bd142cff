"""How pixels become the input of a network, whatever the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become network input; travels with the weights to every later stage.

    RGB in [0, 1] is normalised with ``mean`` and ``std``; evaluation resizes the shorter side to
    ``size / crop_pct`` and crops the centre. ``resize`` is the library that does it: ``pillow``, with antialiasing, or
    ``opencv``, without.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bilinear"
    crop_pct: float = 1.0
    resize: str = "pillow"

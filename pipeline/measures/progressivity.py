"""Whether the maps of an untrained network use more directions from block to block (Lee and Ham, AZ-NAS, CVPR 2024):
the smallest increase of the entropies that :mod:`genas.pipeline.measures.expressivity` adds up."""

from __future__ import annotations

from genas.pipeline.measures.expressivity import measure, scale

__all__ = ["measure", "scale"]

"""An edge of a cell, whatever the search space."""

from __future__ import annotations

from typing import NamedTuple


class Edge(NamedTuple):
    """``operation`` carries the map of node ``source`` to node ``target``, whose number is larger."""

    operation: str
    source: int
    target: int

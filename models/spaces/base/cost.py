"""What a network costs, whatever the search space."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """``params``: trainable numbers without the auxiliary head; ``macs``: multiply-adds for one image."""

    params: int
    macs: int

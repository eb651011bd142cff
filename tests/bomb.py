"""A pickle that does something when it is unpickled."""

from __future__ import annotations

import os
from pathlib import Path


class Bomb:
    """Makes the folder ``ran`` when it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.ran),)

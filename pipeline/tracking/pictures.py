"""The pictures of a finished row for as long as it takes to attach them: stages leave none."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from genas.pipeline.config import Params
from genas.pipeline.stages import STAGES, Key

ONE_AT_A_TIME = threading.Lock()
"""matplotlib is not made for threads, and the tracker has one for each row."""


@contextmanager
def drawn(params: Params, root: Path, key: Key) -> Iterator[list[Path]]:
    """Draw a row into a temporary folder; yields the PNG files. One that cannot be drawn is a line on stderr, and no
    more."""
    if not STAGES[key[0]].pictures:
        yield []
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            from genas.pipeline.drawing.rows import draw_row  # here, as matplotlib is slow to import

            with ONE_AT_A_TIME:
                draw_row(params, root, *key, folder)
        except Exception as error:  # whatever is wrong with a picture, the run has its numbers
            reason = " ".join(str(error).split())[:300]
            print(f"warning: {'@'.join(key)} has a picture that cannot be drawn: {reason}", file=sys.stderr)
        yield sorted(folder.glob("*.png"))

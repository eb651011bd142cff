"""``python -m genas.pipeline.tracking SOCKET``: :mod:`genas.pipeline.tracking.tracker`."""

from __future__ import annotations

import sys
from pathlib import Path

from genas.pipeline.tracking.tracker import serve

if __name__ == "__main__":
    serve(Path(sys.argv[1]))

"""What the data stage recorded of a data set."""

from __future__ import annotations

import json
from typing import Any

from models.errors import GenasError
from pipeline.context import Context

MANIFEST = "manifest.json"


def read_manifest(context: Context, name: str) -> dict[str, Any]:
    """What the data stage recorded of a data set: ``digest``, ``splits`` (counts) and ``classes``.

    Raises:
        GenasError: it has not run.
    """
    path = context.output_of("data", name) / MANIFEST
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise GenasError(f"{path}: no manifest; run the stage data@{name} first") from None

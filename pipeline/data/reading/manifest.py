"""What the data stage recorded of a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from genas.models.errors import GenasError
from genas.pipeline.context import Context
from genas.pipeline.data.reading.files import json_of

MANIFEST = "manifest.json"


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_text, "a name"),
    "layout": (_text, "a layout"),
    "digest": (_text, "a digest"),
    "splits": (
        lambda value: isinstance(value, dict) and all(type(count) is int and count > 0 for count in value.values()),
        "images by split",
    ),
    "classes": (lambda value: isinstance(value, list) and all(map(_text, value)), "a list of class names"),
}
"""What a manifest holds: a test of the value, and what it is."""


def read_manifest(context: Context, name: str) -> dict[str, Any]:
    """What the data stage recorded of a data set: ``digest``, ``splits`` (counts) and ``classes``.

    Raises:
        GenasError: it has not run, or what it wrote was edited or cut off; the message names the stage to run.
    """
    path = context.output_of("data", name) / MANIFEST
    if not path.exists():
        raise GenasError(f"{path}: no manifest; run the stage data@{name} first")
    try:
        return _checked(path)
    except GenasError as error:
        raise GenasError(f"{error}; run the stage data@{name} again") from None


def former_manifest(path: Path) -> dict[str, Any]:
    """What an earlier run recorded; empty where that is nothing, or nothing that can be trusted."""
    try:
        return _checked(path)
    except GenasError:
        return {}


def _checked(path: Path) -> dict[str, Any]:
    content = json_of(path, "the manifest of a data set")
    if not isinstance(content, dict):
        raise GenasError(f"{path}: a {type(content).__name__}, expected the manifest of a data set")
    for key, (valid, expected) in FIELDS.items():
        if key not in content or not valid(content[key]):
            raise GenasError(f"{path}: {key} is {'not' if key in content else 'missing, expected'} {expected}")
    return content

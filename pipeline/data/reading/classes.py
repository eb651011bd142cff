"""The class list that a data set may bring: ``classes.txt``, a name a line, or ``classes.json``, a list of names.

An entry of the JSON may be an object with ``name``, of which the part before the first comma counts, and ``label``, its
place in the list. Names that begin with ``Void`` are of pixels that do not count and are left out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from genas.models.errors import GenasError
from genas.pipeline.data.reading.files import json_of, line, text_of


def class_list(root: Path) -> list[str]:
    """The class names in label order; empty where the data set brings no list.

    Raises:
        GenasError: a list that is no text or no JSON, an empty or doubled name, a label that is not its place.
    """
    if (path := root / "classes.txt").exists():
        names = [name.strip() for name in text_of(path, "a list of class names").rstrip().split("\n")]
        check_names(str(path), names)
        return names
    if (path := root / "classes.json").exists():
        entries = json_of(path, "a list of class names")
        if not isinstance(entries, list):
            raise GenasError(f"{path}: a {type(entries).__name__}, expected a list of class names")
        names = [_name(path, place, entry) for place, entry in enumerate(entries)]
        # The first word for a thing may be that of another thing too: ImageNet has two cranes.
        check_names(str(path), names, unique=all(isinstance(entry, str) for entry in entries))
        return [name for name in names if not name.startswith("Void")]
    return []


def _name(path: Path, place: int, entry: Any) -> str:
    if isinstance(entry, dict) and isinstance(entry.get("name"), str):
        if entry.get("label", place) != place:
            raise GenasError(f"{path}: class {place} has label {line(entry['label'], 40)}, expected its place, {place}")
        return str(entry["name"].split(",")[0])
    if not isinstance(entry, str):
        raise GenasError(f"{path}: class {place} is {line(entry, 40)}, expected a name")
    return entry


def check_names(origin: str, names: list[str], unique: bool = True) -> None:
    """Refuse a class list that is empty, or has an empty or a doubled name.

    Raises:
        GenasError: ``origin`` and the class.
    """
    if not any(names):
        raise GenasError(f"{origin}: no class names")
    for label, name in enumerate(names):
        if not name.strip():
            raise GenasError(f"{origin}: class {label} has no name")
    if unique:
        name, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise GenasError(f"{origin}: the name {line(name, 40)} is given {count} times")

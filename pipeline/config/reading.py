"""YAML from anybody: no key twice, no tags, and no more than a file of parameters can hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from genas.models.errors import GenasError

LARGEST = 2**20
"""Bytes of a file."""
MOST = 100_000
"""Values in it, counted as often as they are referred to: aliases of aliases grow without end."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which would take the last of several values of one key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, merged ones (``<<``) beneath its own keys."""
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if isinstance(key, str) and keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key} is given twice, line {node.start_mark.line + 1} on")
        return super().construct_mapping(node, deep)


# 1e-3 and 6.0e8 are numbers, as in YAML 1.2, which DVC reads; PyYAML's own rule wants a dot and a sign.
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> Any:
    """The content of a file.

    Raises:
        GenasError: no such file, no YAML, a key that is given twice, or too large.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise GenasError(f"{path}: no such file; a profile is a folder with a params.yaml") from None
    except OSError as error:
        raise GenasError(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > LARGEST:
        raise GenasError(f"{path}: larger than {LARGEST} bytes, which no file of parameters is")
    try:
        content = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise GenasError(f"{path}: not YAML ({' '.join(str(error).split())[:300]})") from None
    if _values(content, {}) > MOST:
        raise GenasError(f"{path}: more than {MOST} values, which no file of parameters has")
    return content


def _values(content: Any, known: dict[int, int]) -> int:
    """How many values there are when every alias is written out; a value inside itself counts as too many."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in known:
        known[id(content)] = MOST + 1  # until it is counted: it may hold itself
        parts = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(content)]

"""What the configurations of both frameworks are asked: where the framework's own lies, how another differs from it,
how many images of a step each process takes. What a user got wrong is one line, the same for either stage.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genas.models.errors import GenasError

ABSENT = "(absent)"


def dotted(node: Any, prefix: str = "") -> dict[str, Any]:
    """A nested configuration as ``{dotted key: value}``; sequences are walked only where they hold mappings.

    Args:
        node: mappings and sequences; Detectron2's ``CfgNode`` is a mapping too.
        prefix: of every key, with its dot.
    """
    if isinstance(node, Mapping) and node:
        items: Any = node.items()
    elif isinstance(node, Sequence) and any(isinstance(item, Mapping) for item in node):
        items = enumerate(node)
    else:
        return {prefix.removesuffix("."): node}
    return {key: value for name, child in items for key, value in dotted(child, f"{prefix}{name}.").items()}


def differences(theirs: Any, ours: Any) -> dict[str, tuple[Any, Any]]:
    """``{dotted key: (the framework's value, ours)}`` for every value that differs; :data:`ABSENT` where none is."""
    before, after = dotted(theirs), dotted(ours)
    keys = [*before, *(key for key in after if key not in before)]
    pairs = {key: (before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys}
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}


def shipped(stage: str, framework: str, folder: Path, base: str, example: str) -> Path:
    """The configuration ``base`` in the installed framework's folder of them, and nowhere else: reading one runs it.

    Args:
        stage: ``detect`` or ``segment``.
        framework: its name and version.
        folder: where it keeps its configurations.
        base: a path below the folder, with the ending of ``example``.
        example: one that there is.

    Raises:
        GenasError: there is no such file in the folder.
    """
    try:
        path = (folder / base).resolve(strict=True)
        inside = path.is_relative_to(folder.resolve()) and path.is_file() and path.suffix == Path(example).suffix
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise GenasError(f"{stage}.base: {framework} has no configuration {base!r}, expected one like {example}")
    return path


def images_per_process(stage: str, images: int, processes: int) -> int:
    """The part of a step's images that each process takes, so that a step is the same in any number of them.

    Raises:
        GenasError: they cannot be shared out evenly, or there are none.
    """
    if images < 1 or images % processes:
        raise GenasError(f"{stage}: the {images} images of a step cannot be shared by {processes} processes")
    return images // processes


def portable(text: str, root: Path) -> str:
    """A text with its paths below the folder ``root`` relative to it."""
    return text.replace(f"{root}{os.sep}", "")

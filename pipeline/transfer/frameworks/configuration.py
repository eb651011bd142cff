"""What the configurations of both frameworks are asked: how they differ from the framework's own, whether an override
may be, how many images of a step each process takes. What a user got wrong is one line, the same for either stage.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.errors import GenasError

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


def unknown_base(stage: str, framework: str, base: str, example: str) -> GenasError:
    """The error for a ``base`` that the installed framework (name and version) does not ship."""
    return GenasError(f"{stage}.base: {framework} has no configuration {base!r}, expected one like {example}")


def _within(key: str, other: str) -> bool:
    """Whether a dotted key is another, or lies below it."""
    return key == other or key.startswith(f"{other}.")


def check_overrides(
    stage: str, framework: str, overrides: Mapping[str, Any], known: Collection[str], decided: Collection[str]
) -> None:
    """Refuse overrides that would have no effect, or undo what the stage is for.

    Args:
        stage: ``detect`` or ``segment``.
        framework: its name.
        overrides: dotted keys with their values; a mapping as value stands for the keys below.
        known: the dotted keys that may be given.
        decided: the dotted keys of lines that the stage itself decides.

    Raises:
        GenasError: a key of a decided line, or of one above or below it; a key that is not known.
    """
    for key, value in overrides.items():
        for name in dotted(value, f"{key}."):
            if any(_within(name, line) or (key in known and _within(line, name)) for line in decided):
                raise GenasError(f"{stage}.overrides: {name} cannot be overridden, the {stage} stage decides it")
        if key not in known:
            raise GenasError(f"{stage}.overrides: unknown key {key!r}, expected a key of {framework}'s configuration")


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

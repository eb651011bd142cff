"""What ``overrides`` of either framework may say. They come from anybody's ``params.yaml``, and both frameworks load,
import, unpickle or write whatever their configuration names; so an override changes numbers and, where the framework
has a text itself, texts: never what is built, nor a file's name where there was none. All else is one line.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from genas.models.errors import GenasError
from genas.pipeline.transfer.frameworks.configuration import dotted

REFUSED = frozenset(
    {"type", "load_from", "init_cfg", "pretrained", "default_scope", "custom_imports", "custom_hooks"}
    | {"_delete_", "_base_", "_scope_"}
)
"""Names that make a framework build, import or load something else, wherever they stand in a key or in a value."""


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every plain value with its dotted key; the items of a list have the list's key, mappings in it their number."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _leaves(child, f"{name}.{key}" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}.{index}" if isinstance(item, Mapping) else name)
    else:
        yield name, value


def _within(key: str, other: str) -> bool:
    """Whether a dotted key is another, or lies below it."""
    return key == other or key.startswith(f"{other}.")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "a text" if isinstance(value, str) else "nothing"


def _check_value(stage: str, name: str, value: Any, defaults: Sequence[Any]) -> None:
    """Compare a plain value with those that the framework has at its key, none where the key is new or the list empty.

    Raises:
        GenasError: it is not finite, of another kind, or a text where the framework has none.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise GenasError(f"{stage}.overrides: {name} is {value}, expected a finite number")
    kinds = {_kind(default): default for default in defaults if default is not None}
    if kinds and _kind(value) not in kinds:
        kind, default = next(iter(kinds.items()))
        raise GenasError(f"{stage}.overrides: {name} is {reprlib.repr(value)}, expected {kind} like {default!r}")
    if isinstance(value, str) and not kinds:
        raise GenasError(
            f"{stage}.overrides: {name} is {reprlib.repr(value)}, but the framework's configuration has no text there"
        )


def check_overrides(
    stage: str, overrides: Mapping[str, Any], config: Any, known: Collection[str], decided: Collection[str]
) -> None:
    """Refuse overrides that would have no effect, undo what the stage is for, or lead the framework elsewhere.

    Args:
        stage: ``detect`` or ``segment``.
        overrides: dotted keys with their values; a mapping as value stands for the keys below.
        config: the configuration that they override.
        known: the dotted keys that may be given.
        decided: the dotted keys of lines that the stage itself decides.

    Raises:
        GenasError: a key that is refused or not known; one of a decided line, or of one above or below it; a value of
            another kind than the framework's, or not finite.
    """
    defaults: dict[str, list[Any]] = {}
    for name, default in _leaves(config, ""):
        defaults.setdefault(name, []).append(default)
    for key, value in overrides.items():
        for name in (*(leaf for leaf, _ in _leaves(value, key)), *dotted(value, f"{key}.")):
            if refused := REFUSED.intersection(name.split(".")):
                raise GenasError(f"{stage}.overrides: {name}: {min(refused)} cannot be overridden")
            if any(_within(name, line) or (key in known and _within(line, name)) for line in decided):
                raise GenasError(f"{stage}.overrides: {name} cannot be overridden, the {stage} stage decides it")
        if key not in known:
            raise GenasError(f"{stage}.overrides: unknown key {key!r}, expected a key of the framework's configuration")
        for name, leaf in _leaves(value, key):
            _check_value(stage, name, leaf, defaults.get(name, ()))


def require_positive(stage: str, values: Mapping[str, Any]) -> None:
    """Return if all values, by their keys in the framework, are numbers above 0.

    Raises:
        GenasError: one is not.
    """
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise GenasError(f"{stage}.overrides: {key} is {reprlib.repr(value)}, expected a number above 0")


@contextmanager
def built_from(stage: str, overrides: Mapping[str, Any]) -> Iterator[None]:
    """Around the making of model, optimiser, schedule and loaders: what a framework says there is a mistake in the
    overrides. Without any it is let through, as is a file that cannot be read and too little memory on a GPU.

    Raises:
        GenasError: the framework cannot build from them.
    """
    try:
        yield
    except (GenasError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if not overrides:
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise GenasError(f"{stage}.overrides: nothing can be built from them ({said})") from error
